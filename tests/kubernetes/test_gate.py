"""Workers that begin together."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

import pytest

from whichpod.cluster.kubernetes.gate import Gate


def ask(gate: Gate, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, Any]:
    connection = http.client.HTTPConnection(host, gate.port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if answer.status in (200, 404) else body
    finally:
        connection.close()


class Waiting:
    """Someone at a gate."""

    def __init__(self, gate: Gate) -> None:
        self.stop = threading.Event()
        self.through = threading.Event()
        self._gate = gate
        self._thread = threading.Thread(target=self._wait)

    def _wait(self) -> None:
        self._gate.wait(self.stop)
        self.through.set()

    def __enter__(self) -> Waiting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join()


def test_it_opens_when_it_is_told() -> None:
    with Gate(0) as gate, Waiting(gate) as waiting:
        assert ask(gate, "/ready") == (200, {"ready": True})
        assert not waiting.through.is_set()
        assert ask(gate, "/go/0.05") == (200, {"begins_in_s": 0.05})
        assert waiting.through.wait(30)


def test_the_last_word_counts() -> None:
    with Gate(0) as gate, Waiting(gate) as waiting:
        ask(gate, "/go/60")
        assert not waiting.through.wait(0.1)
        ask(gate, "/go/0")
        assert waiting.through.wait(30)


@pytest.mark.parametrize("told", [False, True])
def test_who_is_told_to_stop_waits_no_longer(told: bool) -> None:
    with Gate(0) as gate, Waiting(gate) as waiting:
        if told:
            ask(gate, "/go/60")
        waiting.stop.set()
        assert waiting.through.wait(30)


@pytest.mark.parametrize(
    "path", ["/", "/go", "/go/", "/go/x", "/go/-1", "/go/61", "/go/nan", "/go/inf", "/other", "/go/0/0"]
)
def test_other_words_do_nothing(path: str) -> None:
    with Gate(0) as gate, Waiting(gate) as waiting:
        status, said = ask(gate, path)
        assert status == 404
        assert "/go/SECONDS" in said["error"]
        assert ask(gate, "/go/0", method="POST")[0] == 501
        assert not waiting.through.is_set()


def test_the_port_is_free_again() -> None:
    with Gate(0) as gate:
        port = gate.port
    with Gate(port) as again:
        assert again.port == port


def test_both_versions_of_ip_reach_it() -> None:
    with Gate(0) as gate:
        assert ask(gate, "/ready", host="127.0.0.1")[0] == 200
        assert ask(gate, "/ready", host="::1")[0] == 200
