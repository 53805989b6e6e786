"""Many pods in one process."""

from __future__ import annotations

import json
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from tests.echo.client import REPLY, SEND, dial, unary
from tests.echo.engines import fast
from tests.echo.frames import connect
from tests.servers import LOCAL, served
from whichpod.echo import names
from whichpod.echo.fast.places import SPARE, places
from whichpod.echo.fast.server import FastServer
from whichpod.echo.identity import Identity
from whichpod.echo.settings import ServerSettings
from whichpod.echo.v1 import echo_pb2
from whichpod.model.errors import LabError, UsageError

MANY = 1_000


def asked(place_host: str, port: int) -> echo_pb2.EchoReply:
    with connect(port, host=place_host) as client:
        (message,) = client.call().messages
        return REPLY(message)


@contextmanager
def consecutive(count: int) -> Iterator[FastServer]:
    """A server on consecutive ports."""
    for _ in range(50):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        try:
            with fast(port=port, pods=count) as server:
                yield server
            return
        except (LabError, UsageError):
            continue  # one of the others is taken
    raise AssertionError("no ports in a row")


def test_a_thousand_pods_on_addresses_each_with_its_identity_end_on_sigterm() -> None:
    with ExitStack() as stack:
        process, port = stack.enter_context(
            served(
                "--engine", "fast", "--pods", str(MANY), "--pods-on", "addresses", "--host", "127.66.1.1",
                env={"POD_NAME": "echo", "POD_NAMESPACE": "lab", "WHICHPOD_ENGINE": ""},
            )
        )  # fmt: skip
        hosts = [f"127.66.{1 + (number + 1) // 256}.{(number + 1) % 256}" for number in range(MANY)]
        replies = [asked(host, port) for host in hosts]
        assert [reply.server.pod for reply in replies] == [f"echo-{number}" for number in range(MANY)]
        assert [reply.server.pod_ip for reply in replies] == hosts
        assert {reply.server.namespace for reply in replies} == {"lab"}
        assert len({reply.server.id for reply in replies}) == MANY
        # Each counts its own: they are all the first one's first.
        assert {(reply.connection.rpartition("#")[2], reply.call) for reply in replies} == {("1", 1)}
        clients = [stack.enter_context(connect(port, host=host)) for host in hosts[::50]]
        for client in clients:
            assert client.call().status == 0
        process.send_signal(signal.SIGTERM)
        for client in clients:
            list(client.frames())
            client.sock.close()
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_pods_on_free_ports() -> None:
    with fast(pods=20) as server:
        assert len({place.port for place in server.pods}) == 20
        assert server.port == server.pods[0].port
        assert server.address == server.pods[0].address
        for number, place in enumerate(server.pods):
            replies = [asked(place.host, place.port) for _ in range(2)]
            assert {reply.server.id for reply in replies} == {place.identity.server_id}
            assert {reply.server.pod for reply in replies} == {f"echo-0-{number}"}
            assert [reply.connection.rpartition("#")[2] for reply in replies] == ["1", "2"]
            assert {reply.server.pod_ip for reply in replies} == {"127.0.0.1"}


def test_pods_on_ports_in_a_row() -> None:
    with consecutive(5) as server:
        assert [place.port for place in server.pods] == list(range(server.port, server.port + 5))
        assert asked("127.0.0.1", server.port + 4).server.pod == "echo-0-4"


def test_an_address_in_use_is_named_and_the_others_are_let_go() -> None:
    with fast(host="127.68.0.3") as server:
        said = rf"127\.68\.0\.3:{server.port} can't be bound: the port is in use"
        with (
            pytest.raises(LabError, match=said),
            fast(host="127.68.0.1", port=server.port, pods=5, pods_on="addresses"),
        ):
            pass
        for number in (1, 2, 4):
            socket.create_server((f"127.68.0.{number}", server.port)).close()


def test_a_name_is_no_pods_ip() -> None:
    with fast(host="localhost", pods=2) as server:
        assert {place.identity.pod_ip for place in server.pods} == {""}
        assert asked("127.0.0.1", server.pods[1].port).server.pod == "echo-0-1"


def test_rpcs_in_flight_finish_on_all_pods() -> None:
    with fast(pods=3, grace_s=60) as server, ExitStack() as stack:
        open_streams = []
        for place in server.pods:
            requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
            channel = stack.enter_context(dial(place.port))
            both: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)
            stream = both(iter(requests.get, None), timeout=20)
            requests.put(echo_pb2.EchoRequest())
            assert next(stream).server.pod == place.identity.pod
            open_streams.append((requests, stream))
        drain = threading.Thread(target=server.drain)
        drain.start()
        for requests, stream in open_streams:
            requests.put(echo_pb2.EchoRequest())
            assert next(stream).sequence == 2
            requests.put(None)
            assert list(stream) == []
        drain.join(20)
        assert not drain.is_alive()
        with pytest.raises(grpc.RpcError), dial(server.pods[2].port) as channel:
            unary(channel)


def test_the_line_that_says_where_they_listen() -> None:
    command = [sys.executable, "-m", "whichpod", "serve", "--engine", "fast", "--host", "127.67.0.1"]
    command += ["--port", "0", "--pods", "3", "--pods-on", "addresses"]
    for how in ([], ["--json"]):
        with subprocess.Popen([*command, *how], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        if not how:
            assert "listening on 127.67.0.1:" in said
            assert said.endswith("-2 (3 pods)\n")
            continue
        pods = json.loads(said)["pods"]
        assert [pod["listening"].partition(":")[0] for pod in pods] == [f"127.67.0.{n}" for n in (1, 2, 3)]
        assert len({pod["server_id"] for pod in pods}) == 3


def settings(**changes: Any) -> ServerSettings:
    return replace(LOCAL, engine="fast", pods=10, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"port": 65_530}, "from --port 65530 on end at 65539"),
        ({"port": 1, "pods": 70_000}, "ports end at 65535"),
        ({"pods_on": "addresses", "host": "127.255.255.250"}, "don't fit into the addresses"),
        ({"pods_on": "addresses", "host": "255.255.255.250"}, "don't fit into the addresses"),
        ({"pods_on": "addresses", "host": "[::]"}, "not from --host"),
        ({"pods_on": "addresses", "host": "localhost"}, "not from --host localhost"),
        ({"pods_on": "hosts"}, "--pods-on 'hosts'"),
        ({"pods": 0}, "--pods 0"),
    ],
)
def test_pods_that_find_no_place_are_refused(
    changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with pytest.raises(UsageError, match=said) as refused:
        FastServer(replace(settings(), **changes), Identity.from_env({}))
    assert refused.value.fix


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((20 + SPARE, 20 + SPARE), None),
        ((20, 500), (500, 500)),
        ((20, resource.RLIM_INFINITY), (20 + SPARE, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_open_files_are_raised_as_far_as_needed(
    limits: tuple[int, int], raised: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: seen.append(wanted))
    assert len(places(settings(), Identity("x"))) == 10
    assert seen == ([raised] if raised else [])


def test_too_few_open_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
    with pytest.raises(UsageError, match="need about 84 open files; this process may have 20") as refused:
        places(settings(), Identity("x"))
    assert "ulimit -n 84" in refused.value.fix
