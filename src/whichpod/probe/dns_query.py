"""Asks one DNS server for a name's addresses: what gRPC's dns://SERVER/name asks, made visible.

Source: RFC 1035 (messages), RFC 3596 (AAAA), RFC 7766 (TCP after truncation).
"""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
import time
from contextlib import closing, suppress

A, AAAA = 1, 28
TIMEOUT_S = 2.0
TRIES = 2
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_TRUNCATED, _RESPONSE, _RCODE = 0x0200, 0x8000, 0x000F


class DnsError(Exception):
    """The server did not answer, or not with what DNS allows."""


def ask(server: tuple[str, int], name: str, kind: int = A) -> list[str]:
    """The addresses of `name`, in the order of the answer; [] where it has none or doesn't exist."""
    query_id = random.randrange(1 << 16)  # noqa: S311 - not a secret: the server is the user's choice
    query = _HEADER.pack(query_id, 0x0100, 1, 0, 0, 0) + _encode(name) + struct.pack("!HH", kind, 1)
    answer = _over_udp(server, query, query_id)
    if _HEADER.unpack_from(answer)[1] & _TRUNCATED:
        answer = _over_tcp(server, query)
    return addresses(answer, query_id, kind)


def addresses(message: bytes, query_id: int, kind: int) -> list[str]:
    """The addresses in an answer. Raises DnsError for anything that isn't an answer to that query."""
    try:
        got_id, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        if got_id != query_id or not flags & _RESPONSE:
            raise DnsError("the answer belongs to another query")
        if flags & _RCODE not in (0, 3):
            raise DnsError(f"the server answered with code {flags & _RCODE}")
        at = _HEADER.size
        for _ in range(questions):
            at = _skip_name(message, at) + 4
        found = []
        for _ in range(answers):
            at = _skip_name(message, at)
            got, _, _, length = _RECORD.unpack_from(message, at)
            at += _RECORD.size
            data = message[at : at + length]
            if len(data) < length:
                raise DnsError("the answer is cut short")
            if got == kind and length == (4 if kind == A else 16):
                found.append(str(ipaddress.ip_address(data)))
            at += length
        return found
    except (struct.error, IndexError):
        raise DnsError("the answer is cut short") from None


def _encode(name: str) -> bytes:
    out = b""
    for label in name.rstrip(".").split("."):
        try:
            raw = label.encode("ascii") if label.isascii() else label.encode("idna")
        except UnicodeError:
            raw = b""
        if not 0 < len(raw) < 64:
            raise DnsError(f"{name!r} is no DNS name")
        out += bytes([len(raw)]) + raw
    if len(out) > 254:
        raise DnsError(f"{name!r} is no DNS name")
    return out + b"\0"


def _skip_name(message: bytes, at: int) -> int:
    # A name ends at its first pointer, so it need not be followed to be skipped, and can't loop.
    while True:
        length = message[at]
        if length >= 0xC0:
            return at + 2
        if length == 0:
            return at + 1
        if length >= 0x40:
            raise DnsError("a label has a type that does not exist")
        at += 1 + length


def _over_udp(server: tuple[str, int], query: bytes, query_id: int) -> bytes:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as sock:
        try:
            sock.connect(server)
            for _ in range(TRIES):
                sock.send(query)
                end = time.monotonic() + TIMEOUT_S
                with suppress(TimeoutError):
                    while True:
                        sock.settimeout(_left(end))
                        answer = sock.recv(65535)
                        if len(answer) >= _HEADER.size and _HEADER.unpack_from(answer)[0] == query_id:
                            return answer
        except OSError as e:
            raise DnsError(e.strerror or str(e)) from None
    raise DnsError("no answer")


def _over_tcp(server: tuple[str, int], query: bytes) -> bytes:
    end = time.monotonic() + TIMEOUT_S
    try:
        with socket.create_connection(server, TIMEOUT_S) as sock:
            sock.sendall(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", _exactly(sock, 2, end))
            answer = _exactly(sock, length, end)
    except OSError as e:
        raise DnsError(e.strerror or str(e)) from None
    if len(answer) < _HEADER.size:
        raise DnsError("the answer is cut short")
    return answer


def _exactly(sock: socket.socket, size: int, end: float) -> bytes:
    data = b""
    while len(data) < size:
        # All of it has one time limit: a server that sends a byte at a time must not hold us.
        sock.settimeout(_left(end))
        part = sock.recv(size - len(data))
        if not part:
            raise DnsError("the answer is cut short")
        data += part
    return data


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
