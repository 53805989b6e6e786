"""The echo service's messages, read and written without a Protobuf runtime where their form is the usual one
(Protocol Buffers, Encoding). What is unusual goes to the runtime; the outcome is the same either way."""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, TypeVar

from whichpod.echo.identity import Identity

if TYPE_CHECKING:
    from google.protobuf.message import Message

    M = TypeVar("M", bound=Message)

_prefix = Struct(">BI").pack
_SERVER, _PAYLOAD, _PEER, _CONNECTION = b"\x0a", b"\x12", b"\x1a", b"\x22"
_CALL, _SEQUENCE, _RECEIVED, _RECEIVED_BYTES = b"\x28", b"\x30", b"\x38", b"\x40"
"""Tags of EchoReply: the field's number << 3, and 2 for what has a length."""
MASK = 0x3FFF
"""The part of a call's number that its last two octets hold."""


class DecodeError(ValueError):
    """Not a message of the type that was expected."""


def varint(value: int) -> bytes:
    """A number as a varint; not negative."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80)) + varint(value >> 14)


def framed(message: bytes) -> bytes:
    """A message with gRPC's prefix."""
    return _prefix(0, len(message)) + message


def payload_of(message: bytes) -> bytes:
    """The payload of a serialised EchoRequest. Raises DecodeError."""
    if not message:
        return b""
    if message[0] == 0x0A:
        size, at = _varint(message, 1)
        if size >= 0 and at + size == len(message):
            return message[at:]
    from whichpod.echo.v1 import echo_pb2

    payload: bytes = _parsed(echo_pb2.EchoRequest, message).payload
    return payload


def stream_request_of(message: bytes) -> tuple[bytes, int, int]:
    """Payload, number of answers and interval in ms of a ServerStreamRequest. Raises DecodeError."""
    from whichpod.echo.v1 import echo_pb2

    request = _parsed(echo_pb2.ServerStreamRequest, message)
    return request.payload, request.messages, request.interval_ms


def service_of(message: bytes) -> str:
    """The service that a serialised HealthCheckRequest asks for. Raises DecodeError."""
    # Its one field is laid out as EchoRequest's.
    try:
        return payload_of(message).decode()
    except UnicodeDecodeError as error:
        raise DecodeError(str(error)) from error


def server_field(identity: Identity) -> bytes:
    """The field `server` of an EchoReply."""
    values = (
        identity.server_id, identity.pod, identity.pod_ip, identity.namespace, identity.node, identity.zone,
    )  # fmt: skip
    message = b"".join(
        _field(bytes((number << 3 | 2,)), value.encode("utf-8", "replace"))
        for number, value in enumerate(values, 1)
        if value
    )
    return _field(_SERVER, message)


class Answers:
    """Makes the EchoReplies of one connection.

    For a run of unary RPCs with the same request body, the answer to call n is
    `lead + numbers[n & MASK] + rest` as long as n is not above `until`.
    """

    __slots__ = ("_after", "_server", "calls", "lead", "numbers", "rest", "until")

    def __init__(self, server: bytes, peer: str, connection: str) -> None:
        """`server` is what `server_field` made."""
        self.calls = 0
        """RPCs on the connection so far."""
        self._server = server
        # What stands between the payload and the number of the call.
        self._after = _field(_PEER, peer.encode()) + _field(_CONNECTION, connection.encode()) + _CALL
        self.lead = self.rest = b""
        self.numbers: list[bytes] = []
        self.until = -1

    def answer(self, payload: bytes, call: int, sequence: int, received: int, size: int) -> bytes:
        """A framed answer. `received` messages have come, with `size` bytes of payload."""
        parts = [self._server]
        if payload:
            parts += (_PAYLOAD, varint(len(payload)), payload)
        parts += (self._after, varint(call), _SEQUENCE, varint(sequence))
        if received:
            parts += (_RECEIVED, varint(received))
        if size:
            parts += (_RECEIVED_BYTES, varint(size))
        message = b"".join(parts)
        return _prefix(0, len(message)) + message

    def prepare(self, payload: bytes, call: int) -> None:
        """Sets lead, numbers, rest and until for answers to that payload, from that call on."""
        front = (
            self._server + _field(_PAYLOAD, payload) + self._after if payload else self._server + self._after
        )
        tail = _SEQUENCE + b"\1" + _RECEIVED + b"\1"
        if payload:
            tail += _RECEIVED_BYTES + varint(len(payload))
        number = varint(call)
        size = len(front) + len(number) + len(tail)
        self.lead = _prefix(0, size) + front
        whole, begun = _numbers()
        if len(number) <= 2:
            # The frame's length changes when the number takes another octet.
            self.numbers, self.rest, self.until = whole, tail, (1 << 7 * len(number)) - 1
        else:
            self.numbers, self.rest, self.until = begun, varint(call >> 14) + tail, call | MASK


@cache
def _numbers() -> tuple[list[bytes], list[bytes]]:
    """Varints of 0 to MASK, and the first two octets of larger ones by their lowest 14 bits."""
    return (
        [varint(i) for i in range(MASK + 1)],
        [bytes((i & 0x7F | 0x80, i >> 7 | 0x80)) for i in range(MASK + 1)],
    )


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + varint(len(value)) + value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A length and the offset behind it; -1 where it isn't one of five octets at most."""
    size = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            break
        octet = data[at]
        at += 1
        size |= (octet & 0x7F) << shift
        if octet < 0x80:
            return size, at
    return -1, at


def _parsed(kind: type[M], message: bytes) -> M:
    from google.protobuf.message import DecodeError as RuntimeDecodeError

    try:
        return kind.FromString(message)
    except RuntimeDecodeError as error:
        raise DecodeError(str(error)) from error
