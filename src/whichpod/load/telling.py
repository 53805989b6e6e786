"""Who answered: from a response to its backend, worked out once for each way a response can look."""

from __future__ import annotations

from collections.abc import Callable

from whichpod.load.call import Identify
from whichpod.load.fields import FieldError, fields, find
from whichpod.model.target import Backend, Learnt
from whichpod.wire import Stream
from whichpod.wire.block import Block
from whichpod.wire.messages import PREFIX_SIZE

SERVER, POD = b"x-whichpod-server", b"x-whichpod-pod"
_SERVER_FIELD = b"\x0a"
"""The first octet of the echo service's answer: field 1, the server."""
_PARTS = {1: "id", 2: "pod", 3: "ip", 4: "namespace", 5: "node", 6: "zone"}


class Teller:
    """Tells the backends of one connection's responses.

    `cut(body)` says how much of a response's start stands for its backend, where that is so (the echo
    service's answers begin with the server; otherwise everything hangs on the connection); where it is 0,
    `key(stream)` gives what stands for it.
    """

    def __init__(self, identify: Identify, peer: str) -> None:
        self._how = identify.how
        self.constant = identify.how == "peer"
        """Every answer on the connection is of the same backend."""
        self.by_body = identify.how == "field"
        """It takes the whole answer to tell."""
        self._name = identify.name.encode()
        self._numbers = identify.numbers
        self._peer = Backend(peer, ip=peer.rpartition(":")[0].strip("[]"), learnt="peer")
        self._keys: dict[str, Callable[[Stream], bytes]] = {
            "header": lambda stream: _value(stream.head, self._name),
            "trailer": lambda stream: _value(stream.trailers or stream.head, self._name),
            "servers": self._servers,
            "field": self._field,
        }

    def cut(self, body: bytes) -> int:
        """Octets of a body, its prefix included, that tell the backend; 0 where `key` must."""
        if self._how == "peer":
            return PREFIX_SIZE
        if self._how != "echo":
            return 0
        if body[PREFIX_SIZE : PREFIX_SIZE + 1] != _SERVER_FIELD:
            return PREFIX_SIZE
        size, at, shift = 0, PREFIX_SIZE + 1, 0
        while at < len(body) and shift < 28:
            octet = body[at]
            size |= (octet & 0x7F) << shift
            at += 1
            shift += 7
            if octet < 0x80:
                break
        return min(at + size, len(body))

    def key(self, stream: Stream) -> bytes:
        """What stands for the backend of a response, where its body's start doesn't."""
        # The prefix tells the body's size, which whoever keeps the key goes by.
        return stream.body[:PREFIX_SIZE] + self._keys[self._how](stream)

    def backend(self, stream: Stream) -> Backend | None:
        """Who sent a response that is as it should be; None where it doesn't tell."""
        if self._how == "peer":
            return self._peer
        if self._how == "echo":
            return echo_backend(stream.body[PREFIX_SIZE:])
        told = self._keys[self._how](stream)
        if self._how == "servers":
            server, _, pod = told.partition(b"\0")
            return _named(server, pod, "identity")
        return _named(told, b"", "identity" if self._how == "field" else "header")

    def blamed(self, stream: Stream) -> Backend | None:
        """Who failed an RPC, where its trailers or headers tell."""
        if self._how == "peer":
            return self._peer
        if self._how in ("header", "trailer"):
            return self.backend(stream)
        server, _, pod = self._servers(stream).partition(b"\0")
        return _named(server, pod, "identity")

    def _servers(self, stream: Stream) -> bytes:
        block = stream.trailers or stream.head
        server = _value(block, SERVER)
        return server + b"\0" + _value(block, POD) if server else b""

    def _field(self, stream: Stream) -> bytes:
        try:
            value = find(stream.body[PREFIX_SIZE:], self._numbers)
        except FieldError:
            return b""
        return b"" if value is None else value if isinstance(value, bytes) else b"%d" % value


def echo_backend(message: bytes) -> Backend | None:
    """The server in an answer of the echo service; None where there is none."""
    try:
        server = find(message, (1,))
        if not isinstance(server, bytes):
            return None
        told = {
            _PARTS[number]: value.decode()
            for number, value in fields(server)
            if number in _PARTS and isinstance(value, bytes)
        }
    except (FieldError, UnicodeDecodeError):
        return None
    return Backend(**told) if told.get("id") else None  # type: ignore[arg-type]


def _value(block: Block | None, name: bytes) -> bytes:
    return (block.get(name) or b"") if block is not None else b""


def _named(name: bytes, pod: bytes, learnt: Learnt) -> Backend | None:
    text = name.decode("utf-8", "replace")
    return Backend(text, pod.decode("utf-8", "replace"), learnt=learnt) if text else None
