"""How an RPC ended: grpc-status, grpc-message, grpc-status-details-bin (gRPC's PROTOCOL-HTTP2, Responses)."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from whichpod.wire.block import Block
from whichpod.wire.codes import GrpcCode, code_of_http
from whichpod.wire.encoder import Fields
from whichpod.wire.stream import Stream
from whichpod.wire.table import Pair

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(rb"[^ -$&-~]")
_CODES = frozenset(GrpcCode)


@dataclass(frozen=True, slots=True)
class GrpcStatus:
    """A status. `details` is a serialised google.rpc.Status, or empty."""

    code: GrpcCode
    message: str = ""
    details: bytes = b""


OK = GrpcStatus(GrpcCode.OK)


def status_of(stream: Stream) -> GrpcStatus:
    """The status of a finished response. Repeated trailers are read once: the result is kept with them."""
    block = stream.trailers or stream.head
    note = block.note if block is not None else None
    if isinstance(note, GrpcStatus):
        return note
    return _read(stream, block)


def _read(stream: Stream, block: Block | None) -> GrpcStatus:
    head = stream.head
    if block is None or head is None:
        return GrpcStatus(GrpcCode.UNKNOWN, "There is no response.")
    value = block.get(b"grpc-status")
    if value is None:
        # What comes instead depends on the head, not on these trailers: nothing to keep.
        why = "has no grpc-status" if head.status == 200 else f"is HTTP {head.status} without grpc-status"
        return GrpcStatus(code_of_http(head.status), f"The response {why}.")
    message = decode_message(block.get(b"grpc-message") or b"")
    details = decode_binary(block.get(b"grpc-status-details-bin") or b"") or b""
    if value.isdigit() and len(value) <= 2 and int(value) in _CODES:
        status = GrpcStatus(GrpcCode(int(value)), message, details)
    else:
        # Codes that aren't known are UNKNOWN to the caller (statuscodes.md).
        shown = value[:20].decode("latin-1")
        status = GrpcStatus(GrpcCode.UNKNOWN, message or f"grpc-status is {shown!a}.", details)
    block.note = status
    return status


def trailers(code: int, message: str = "", details: bytes = b"") -> Fields:
    """The trailers that say a status."""
    fields: list[Pair] = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", encode_message(message)))
    if details:
        fields.append((b"grpc-status-details-bin", encode_binary(details)))
    return tuple(fields)


def encode_message(message: str) -> bytes:
    """Percent-encoded UTF-8. Spaces at the ends are encoded too: HTTP/2 allows none there."""
    text = _UNSAFE.sub(lambda match: b"%%%02X" % match[0][0], message.encode("utf-8", "replace"))
    bare = text.lstrip(b" ")
    core = bare.rstrip(b" ")
    return b"%20" * (len(text) - len(bare)) + core + b"%20" * (len(bare) - len(core))


def decode_message(value: bytes) -> str:
    """The message; what isn't a valid escape stays as it is, as gRPC wants it."""
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), value).decode("utf-8", "replace")


def encode_binary(value: bytes) -> bytes:
    """The value of a `-bin` field: base64 without padding."""
    return b64encode(value).rstrip(b"=")


def decode_binary(value: bytes) -> bytes | None:
    """The bytes of a `-bin` field, padded or not; None for what isn't base64."""
    bare = value.rstrip(b"=")
    try:
        return b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return None
