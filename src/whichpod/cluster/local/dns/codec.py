"""DNS messages to and from bytes (RFC 1035, EDNS of RFC 6891, SRV of RFC 2782). No sockets."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct("!6H")
_FIXED = struct.Struct("!HHIH")
PLAIN_UDP = 512
"""Most bytes of a UDP answer to a client that doesn't speak EDNS (RFC 1035, 4.2.1)."""
MOST_UDP = 65_507
"""Most bytes of a UDP answer to one that does, whatever it offers: those of an IPv4 datagram."""
_TAKEN_UDP = 4096
"""What we offer to take ourselves."""
LONGEST_MESSAGE = 65_535
_QR, _AA, _TC, _RD = 0x8000, 0x0400, 0x0200, 0x0100
_NAME_OF_QUESTION = 0xC000 | HEADER.size
_LONGEST_NAME = 255


class Type(IntEnum):
    """Record types that are answered or understood."""

    A = 1
    AAAA = 28
    SRV = 33
    OPT = 41


class Code(IntEnum):
    """Response codes. BADVERS needs EDNS."""

    NOERROR = 0
    FORMERR = 1
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class MalformedError(Exception):
    """A message that can't be read. `query` has what is needed to say so, when even that can be read."""

    def __init__(self, message: str, query: Query | None = None, code: Code = Code.FORMERR) -> None:
        super().__init__(message)
        self.query = query
        self.code = code


@dataclass(frozen=True, slots=True)
class Query:
    """A question."""

    id: int
    name: str = ""
    """Lower case, without the final dot."""
    type: int = 0
    question: bytes = b""
    """As it was sent: it is repeated in the answer."""
    recursion: bool = False
    edns_size: int | None = None
    """Bytes that the client takes over UDP; None where it doesn't speak EDNS."""

    @property
    def most_udp(self) -> int:
        """Most bytes of an answer over UDP."""
        return PLAIN_UDP if self.edns_size is None else min(max(self.edns_size, PLAIN_UDP), MOST_UDP)


@dataclass(frozen=True, slots=True)
class Record:
    """An answer's record: an address, or the host and port of an SRV."""

    name: str
    address: str = ""
    target: str = ""
    port: int = 0
    ttl_s: int = 5
    """5 is the default of CoreDNS' kubernetes plugin."""

    @property
    def type(self) -> Type:
        """A, or SRV where it has a target."""
        return Type.SRV if self.target else Type.A

    def data(self) -> bytes:
        """The record's RDATA."""
        if self.target:
            return struct.pack("!3H", 0, 100, self.port) + encode_name(self.target)
        return socket.inet_aton(self.address)


def parse(data: bytes) -> Query | None:
    """The question of a message; None for what must not be answered at all (a response, noise).

    Raises MalformedError for what must be answered with an error.
    """
    if len(data) < HEADER.size:
        return None
    number, flags, questions, answers, authorities, additional = HEADER.unpack_from(data)
    if flags & _QR:
        return None
    bare = Query(number, recursion=bool(flags & _RD))
    if flags >> 11 & 0xF:
        raise MalformedError("not a standard query", bare, Code.NOTIMP)
    if questions != 1 or answers or authorities:
        raise MalformedError("not exactly one question", bare)
    try:
        name, at = _read_name(data, HEADER.size)
        kind, klass = struct.unpack_from("!HH", data, at)
        at += 4
        edns, version = _find_edns(data, at, additional)
    except (struct.error, ValueError) as e:
        raise MalformedError(str(e), bare) from None
    query = Query(number, name, kind, data[HEADER.size : at], bare.recursion, edns)
    if version:
        raise MalformedError(f"EDNS version {version}", query, Code.BADVERS)
    if klass not in (1, 255):  # IN, ANY
        raise MalformedError(f"class {klass}", query, Code.REFUSED)
    return query


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    length = 0
    while True:
        if at >= len(data):
            raise ValueError("the name is cut off")
        size = data[at]
        at += 1
        if size == 0:
            return ".".join(labels).lower(), at
        if size > 63:  # a pointer: there is nothing before the question that one could point to
            raise ValueError("a label is too long")
        label = data[at : at + size]
        at += size
        length += size + 1
        if len(label) != size or length >= _LONGEST_NAME:
            raise ValueError("the name is cut off or too long")
        labels.append(label.decode("latin-1"))


def _find_edns(data: bytes, at: int, records: int) -> tuple[int | None, int]:
    for _ in range(records):
        while data[at : at + 1] not in (b"\0", b""):  # skip the record's name
            if data[at] >= 0xC0:
                at += 1
                break
            at += 1 + data[at]
        at += 1
        kind, size, ttl, length = _FIXED.unpack_from(data, at)
        if kind == Type.OPT:
            return size, ttl >> 16 & 0xFF
        at += _FIXED.size + length
    return None, 0


def encode_name(name: str) -> bytes:
    """A name as labels, not compressed."""
    labels = [label.encode("latin-1") for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def build(
    query: Query,
    code: Code,
    answers: tuple[Record, ...] = (),
    extra: tuple[Record, ...] = (),
    *,
    most: int = LONGEST_MESSAGE,
) -> bytes:
    """The answer to `query` in at most that many bytes.

    What doesn't fit is left out altogether and TC is set, so that the client asks again over TCP
    (RFC 2181, 9). Additional records that don't fit are left out silently.
    """
    body = b"".join(_encode(r, query.name) for r in answers)
    opt = b""
    if query.edns_size is not None:
        opt = b"\0" + _FIXED.pack(Type.OPT, _TAKEN_UDP, (code >> 4) << 24, 0)
    room = most - HEADER.size - len(query.question) - len(opt)
    flags = _QR | _AA | (_RD if query.recursion else 0) | (code & 0xF)
    count, more = len(answers), 0
    if len(body) > room:
        flags, body, count = flags | _TC, b"", 0
    else:
        extras = [_encode(r, query.name) for r in extra]
        if len(body) + sum(map(len, extras)) <= room:
            body, more = body + b"".join(extras), len(extras)
    head = HEADER.pack(query.id, flags, 1 if query.question else 0, count, 0, more + bool(opt))
    return head + query.question + body + opt


def _encode(record: Record, asked: str) -> bytes:
    data = record.data()
    same = record.name == asked
    name = struct.pack("!H", _NAME_OF_QUESTION) if same else encode_name(record.name)
    return name + _FIXED.pack(record.type, 1, record.ttl_s, len(data)) + data
