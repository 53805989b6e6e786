"""Who answered, to the last RPC, where several servers answer on one connection: alike, in one batch, in any
order."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.load.runs import by_pod, run
from tests.wire.bytes import goaway
from whichpod.echo.names import ECHO
from whichpod.echo.v1 import echo_pb2
from whichpod.load.call import Call, Identify, echo_call
from whichpod.load.conn import Conn
from whichpod.load.engine import Engine, Share
from whichpod.model.plan import Plan
from whichpod.wire import Reply, ServerConnection, Stream
from whichpod.wire.messages import frame

HEAD = ((b":status", b"200"), (b"content-type", b"application/grpc"))
FAILED = "failed"
Choice = Callable[[int], str]
"""The pod that answers the how-manieth RPC."""


class Rigged:
    """A server that answers as whichever pod it likes, and counts what it did."""

    def __init__(self, choice: Choice, *, named: bool) -> None:
        self._named = named
        self.counts: Counter[str] = Counter()
        self._choice = choice
        self._replies: dict[str, Reply] = {}
        self._lock = threading.Lock()

    def serve(self, sock: socket.socket) -> None:
        conn = ServerConnection(0)
        with sock:
            while data := sock.recv(65_536):
                for event in conn.receive(data, 0):
                    if isinstance(event, Stream):
                        self._answer(conn, event)
                sock.sendall(conn.take())
                if conn.closed:
                    return

    def _answer(self, conn: ServerConnection, stream: Stream) -> None:
        with self._lock:
            number = self.counts.total()
            pod = self._choice(number)
            self.counts[pod] += 1
        status = b"14" if pod == FAILED else b"0"
        # Only where they are asked for: answers that differ there are never taken for alike.
        names = ((b"x-whichpod-server", pod.encode()), (b"x-which", pod.encode())) if self._named else ()
        reply = self._replies.setdefault(pod, Reply(HEAD, ((b"grpc-status", status), *names)))
        server = echo_pb2.Server(id=pod, pod=pod)
        # Sizes that change now and then, as those of real answers do.
        message = echo_pb2.EchoReply(server=server, call=number).SerializeToString()
        conn.respond(stream, reply, frame(message))


@contextmanager
def rigged(choice: Choice, *, named: bool) -> Iterator[tuple[Rigged, int]]:
    server = Rigged(choice, named=named)
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=server.serve, args=(sock,))
            thread.start()
            threads.append(thread)

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield server, listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for thread in threads:
            thread.join()


dice = random.Random(7)
CHOICES: dict[str, Choice] = {
    "one": lambda _: "pod-a",
    "in turns": lambda n: ("pod-a", "pod-b")[n % 2],
    "in blocks": lambda n: ("pod-a", "pod-b", "pod-c")[n // 7 % 3],
    "one in fifty": lambda n: "pod-b" if n % 50 == 17 else "pod-a",
    "by chance": lambda _: dice.choice(("pod-a", "pod-b")),
    "of other lengths": lambda n: ("a", "pod-with-a-long-name", "pod-b")[n // 11 % 3],
    "with failures": lambda n: FAILED if n % 13 == 5 else ("pod-a", "pod-b")[n // 5 % 2],
}


@pytest.mark.parametrize("how", CHOICES)
@pytest.mark.parametrize("identify", ["echo", "servers", "trailer", "field"])
def test_every_answer_is_counted_for_who_gave_it(how: str, identify: str) -> None:
    calls = {
        "echo": echo_call(),
        "servers": Call(ECHO, b"", Identify("servers")),
        "trailer": Call(ECHO, b"", Identify("trailer", "x-which")),
        "field": Call(ECHO, b"", Identify("field", "server.id", (1, 1))),
    }
    with rigged(CHOICES[how], named=identify in ("servers", "trailer")) as (server, port):
        report = run(port, call=calls[identify], requests=1_500, connections=2, concurrency=25)
    expected = dict(server.counts)
    failed = expected.pop(FAILED, 0)
    assert {name: n for name, n in by_pod(report).items() if n} == expected
    assert (report.tally.failed, report.tally.done) == (failed, 1_500 - failed)
    assert report.tally.latency.count == 1_500 - failed
    for entry in report.tally.backends.values():
        assert entry.latency.count == entry.done


def test_a_peer_that_is_gone_when_it_is_told_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was drained is closed once its last RPC has ended, and the reset of the peer, which
    closes as well, may come in between."""
    accepted: list[socket.socket] = []
    closed: list[Conn] = []
    close = Conn.close

    def serve(listening: socket.socket) -> None:
        for last in (1, 0):
            sock, _ = listening.accept()
            accepted.append(sock)
            conn = ServerConnection(0)
            answered = False
            while not (answered and last) and (data := sock.recv(65_536)):
                for event in conn.receive(data, 0):
                    if isinstance(event, Stream):
                        server = echo_pb2.Server(id="a", pod="a")
                        message = echo_pb2.EchoReply(server=server).SerializeToString()
                        conn.respond(event, Reply(HEAD, ((b"grpc-status", b"0"),)), frame(message))
                        answered = True
                sock.sendall(conn.take() + (goaway(1) if answered and last else b""))

    def reset_before(self: Conn) -> None:
        if not closed:
            accepted[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted[0].close()
        closed.append(self)
        close(self)

    monkeypatch.setattr(Conn, "close", reset_before)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, args=(listening,), daemon=True)
        serving.start()
        share = Share(((0, f"127.0.0.1:{listening.getsockname()[1]}"),), 1)
        engine = Engine(Plan(requests=2), echo_call(), share, authority="a")
        engine.on_prepared = lambda: engine.begin(0)
        engine.on_over = engine.loop.stop
        engine.prepare()
        engine.loop.run()
        engine.loop.close()
        serving.join()
    accepted[1].close()
    assert (engine.done, engine.failures, engine.in_flight) == (2, 0, 0)
    assert len(closed) == 2
