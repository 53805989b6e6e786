"""The event loop and its connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from whichpod.reactor import Link, Loop, connect
from whichpod.reactor.loop import READ, WRITE


class Recorder:
    """An owner that writes down what it hears."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.said: list[str] = []
        self.data = b""
        self.until: Callable[[], bool] = lambda: False

    def on_open(self) -> None:
        self._note("open")

    def on_data(self, data: bytes) -> None:
        self.data += data
        self._note("data")

    def on_drain(self) -> None:
        self._note("drain")

    def on_end(self, reason: str) -> None:
        self._note(f"end {reason}".strip())

    def _note(self, what: str) -> None:
        if not self.said or self.said[-1] != what:
            self.said.append(what)
        if self.until():
            self.loop.stop()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_timers_come_in_order_and_never_early(loop: Loop) -> None:
    seen: list[tuple[str, int]] = []
    start = time.monotonic_ns()

    def note(name: str) -> Callable[[], None]:
        return lambda: seen.append((name, time.monotonic_ns() - start))

    loop.at(start + 6_000_000, note("third"))
    loop.at(start + 300_000, note("second"))
    loop.at(start, note("first"))
    cancelled = loop.at(start + 100_000, note("never"))
    cancelled.cancel()
    loop.at(start + 7_000_000, loop.stop)
    loop.run()
    loop.close()
    assert [name for name, _ in seen] == ["first", "second", "third"]
    assert seen[1][1] >= 300_000
    assert seen[2][1] >= 6_000_000
    assert loop.lag_ns >= 0


def test_what_is_soon_comes_after_what_is_ready(loop: Loop) -> None:
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")

        def ready(events: int) -> None:
            assert events & READ
            seen.append("ready")
            loop.soon(lambda: seen.append("soon"))
            loop.unwatch(ours.fileno())
            loop.soon(loop.stop)

        loop.watch(ours.fileno(), READ, ready)
        loop.run()
    loop.close()
    assert seen == ["ready", "soon"]


def test_it_is_woken_from_another_thread(loop: Loop) -> None:
    loop.on_wake = loop.stop
    thread = threading.Thread(target=loop.wake)
    thread.start()
    loop.run()
    thread.join()
    loop.close()


def test_what_a_callback_raises_ends_it(loop: Loop) -> None:
    def bad() -> None:
        raise KeyError("x")

    loop.soon(bad)
    with pytest.raises(KeyError):
        loop.run()
    loop.close()


def test_a_link_sends_more_than_the_kernel_takes(loop: Loop) -> None:
    owner = Recorder(loop)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = Link(loop, connect(listening.getsockname()), owner)
        link.send(b"early ")
        peer, _ = listening.accept()
    payload = b"x" * 20_000_000
    got = bytearray()

    def read() -> None:
        while len(got) < len(payload) + 6:
            got.extend(peer.recv(1 << 20))
        peer.sendall(b"thanks")

    thread = threading.Thread(target=read)
    loop.soon(lambda: link.send(payload))
    loop.soon(thread.start)
    owner.until = lambda: owner.data == b"thanks"
    loop.run()
    thread.join()
    assert bytes(got) == b"early " + payload
    assert link.backlog == 0
    assert owner.said[0] == "open"
    assert "drain" in owner.said
    peer.close()
    owner.until = lambda: owner.said[-1] == "end"
    loop.run()
    assert link.closed
    link.send(b"too late")
    link.close()
    loop.close()


def test_closing_may_flush_first(loop: Loop) -> None:
    owner = Recorder(loop)
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    link = Link(loop, ours, owner, connected=True)
    payload = b"y" * 5_000_000
    got = bytearray()

    def read() -> None:
        while data := peer.recv(1 << 20):
            got.extend(data)
        loop.wake()

    loop.on_wake = loop.stop
    thread = threading.Thread(target=read)
    link.send(payload)
    link.close(flush=True)
    assert not link.closed
    thread.start()
    loop.run()
    thread.join()
    assert bytes(got) == payload
    assert owner.said == []
    peer.close()
    loop.close()


def test_pausing_stops_reading(loop: Loop) -> None:
    owner = Recorder(loop)
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    link = Link(loop, ours, owner, connected=True)
    link.pause()
    peer.send(b"one")
    loop.after(20_000_000, loop.stop)
    loop.run()
    assert owner.data == b""
    link.resume()
    owner.until = lambda: owner.data == b"one"
    loop.run()
    link.close()
    peer.close()
    loop.close()


def test_a_connection_that_is_refused(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    owner = Recorder(loop)
    link = Link(loop, connect(address), owner)
    owner.until = lambda: True
    loop.run()
    assert owner.said == ["end connection refused"]
    assert link.closed
    loop.close()


def test_a_socket_path_that_isn_t_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(str(tmp_path / "none.sock"))


def test_waiting_for_writing_alone(loop: Loop) -> None:
    ours, peer = socket.socketpair()
    with ours, peer:
        loop.watch(ours.fileno(), WRITE, lambda events: loop.stop() if events & WRITE else None)
        loop.run()
        loop.change(ours.fileno(), READ)
        loop.unwatch(ours.fileno())
        loop.unwatch(ours.fileno())
    loop.close()


def test_epoll_leaves_the_end_of_a_wait_to_select() -> None:
    """epoll's timeout is in ms, rounded up: RPCs of a slow schedule would all be sent late."""
    loop = Loop()
    if loop._fine < 0:
        pytest.skip("epoll is not there, or its descriptor is too large for select")
    waits: list[tuple[float, float]] = []
    real = loop._poll

    class Watching:
        def poll(self, timeout: float) -> object:
            waits.append((timeout, (due - time.monotonic_ns()) / 1e9))
            return real.poll(timeout)

        def close(self) -> None:
            real.close()  # type: ignore[union-attr]

    due = time.monotonic_ns() + 20_000_000
    loop.at(due, loop.stop)
    loop._poll = Watching()  # type: ignore[assignment]
    loop.run()
    loop.close()
    assert waits[0][0] > 0, "most of it is left to epoll"
    assert all(timeout == 0 or timeout <= left - 1e-3 for timeout, left in waits)
    assert time.monotonic_ns() >= due
