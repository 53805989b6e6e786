"""The DNS question that makes a name's addresses visible, against a server on a socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.target import Target
from whichpod.probe.dns_query import AAAA, A, DnsError, _over_tcp, addresses, ask
from whichpod.probe.resolve import known_backends, resolved_addresses


def answer(query: bytes, ips: list[str], *, flags: int = 0x8000) -> bytes:
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(ips), 0, 0)
    records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(ip) for ip in ips)
    return head + query[12:] + records


@contextmanager
def server(
    reply: Callable[[bytes], bytes], over_tcp: Callable[[bytes], bytes] | None = None
) -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", port))

        def serve_udp() -> None:
            with contextlib.suppress(OSError):
                while True:
                    data, client = udp.recvfrom(4096)
                    if not data:
                        return
                    udp.sendto(reply(data), client)

        def serve_tcp() -> None:
            with contextlib.suppress(OSError):
                while over_tcp:
                    sock, _ = tcp.accept()
                    with sock:
                        data = sock.recv(4096)[2:]
                        said = over_tcp(data)
                        sock.sendall(struct.pack("!H", len(said)) + said)

        threads = [threading.Thread(target=t, daemon=True) for t in (serve_udp, serve_tcp)]
        for thread in threads:
            thread.start()
        yield port
        tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", port))
        for thread in threads:
            thread.join(5)


def test_addresses_come_in_order() -> None:
    with server(lambda q: answer(q, ["10.0.0.2", "10.0.0.1"])) as port:
        assert ask(("127.0.0.1", port), "echo.default") == ["10.0.0.2", "10.0.0.1"]
        target = f"dns://127.0.0.1:{port}/echo.default:50051"
        assert resolved_addresses(target) == ("10.0.0.2:50051", "10.0.0.1:50051")
        known = known_backends(Target(target))
        assert (known.known_count, known.known_by) == (2, "resolved")


def test_one_address_tells_nothing() -> None:
    with server(lambda q: answer(q, ["10.0.0.2"])) as port:
        target = Target(f"dns://127.0.0.1:{port}/echo:1")
        assert known_backends(target) == target


def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    many = [f"10.0.{i // 250}.{i % 250}" for i in range(1000)]
    with server(lambda q: answer(q, [], flags=0x8200), lambda q: answer(q, many)) as port:
        assert ask(("127.0.0.1", port), "echo") == many


def test_no_such_name_has_no_address() -> None:
    with server(lambda q: answer(q, [], flags=0x8003)) as port:
        assert ask(("127.0.0.1", port), "nope") == []


@pytest.mark.parametrize(
    "reply",
    [lambda q: answer(q, [], flags=0x8002), lambda q: q[:2], lambda q: answer(q, ["10.0.0.1"])[:-2],
     lambda q: answer(q, [], flags=0),
     lambda q: answer(q, ["10.0.0.1"]).replace(b"\xc0\x0c", b"\x80\x0c")],
)  # fmt: skip
def test_bad_answers_are_dns_errors(reply: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichpod.probe.dns_query.TIMEOUT_S", 0.2)
    with server(reply) as port, pytest.raises(DnsError):
        ask(("127.0.0.1", port), "echo")


def test_what_belongs_to_another_query_is_passed_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            query, client = sock.recvfrom(4096)
            other = bytes([query[0] ^ 1]) + query[1:]
            for reply in (answer(other, ["10.9.9.9"]), b"", answer(query, ["10.0.0.1"])):
                sock.sendto(reply, client)

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(sock.getsockname(), "echo") == ["10.0.0.1"]
        thread.join(5)


def test_a_server_that_dribbles_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each byte comes within the limit, all of them would not.
    monkeypatch.setattr("whichpod.probe.dns_query.TIMEOUT_S", 0.2)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def dribble() -> None:
            sock, _ = listening.accept()
            with sock, contextlib.suppress(OSError):
                while not over.wait(0.02):
                    sock.send(b"x")

        thread = threading.Thread(target=dribble)
        thread.start()
        with pytest.raises(DnsError, match=r"no answer in time|timed out"):
            _over_tcp(listening.getsockname(), b"query")
        over.set()
        thread.join(5)


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, ".".join(["abcdefgh"] * 40)])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(DnsError):
        ask(("127.0.0.1", 1), name)


@given(st.binary(max_size=300), st.sampled_from([A, AAAA]))
def test_any_bytes_are_an_answer_or_a_dns_error(data: bytes, kind: int) -> None:
    with contextlib.suppress(DnsError):
        addresses(data, 0, kind)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_an_answer_with_a_flaw_is_no_other_error(noise: bytes, at: int) -> None:
    good = answer(b"\0\0\1\0\0\1\0\0\0\0\0\0\4echo\0\0\1\0\1", ["10.0.0.1", "10.0.0.2"])
    with contextlib.suppress(DnsError):
        addresses(good[:at] + noise + good[at:], 0, A)
