"""Case 25, gRPC: responses without a status, messages cut short, too large or compressed who knows how."""

from __future__ import annotations

import gzip
import zlib

import pytest

from tests.hostile.victim import Victim
from tests.wire import bytes as wire
from whichpod.wire import Failed, Stream
from whichpod.wire.codes import GrpcCode, GrpcError, code_of_error
from whichpod.wire.grpc import result_of
from whichpod.wire.messages import MAX_MESSAGE, MessageReader, frame, unframe

LAST = wire.END_HEADERS | wire.END_STREAM
only_client = pytest.mark.parametrize("role", ["client"])


def response(role: str, *octets: bytes) -> Stream:
    """What the client makes of these frames of stream 1."""
    victim = Victim(role)
    assert victim.stream(begun=False) == 1
    victim.feed(*octets)
    ended = victim.events[-1]
    assert isinstance(ended, Stream)
    return ended


@only_client
@pytest.mark.parametrize(
    ("http", "code"),
    [
        (200, GrpcCode.UNKNOWN), (204, GrpcCode.UNKNOWN), (302, GrpcCode.UNKNOWN), (400, GrpcCode.INTERNAL),
        (401, GrpcCode.UNAUTHENTICATED), (403, GrpcCode.PERMISSION_DENIED), (404, GrpcCode.UNIMPLEMENTED),
        (405, GrpcCode.UNKNOWN), (429, GrpcCode.UNAVAILABLE),
        (431, GrpcCode.UNKNOWN), (500, GrpcCode.UNKNOWN),
        (502, GrpcCode.UNAVAILABLE), (503, GrpcCode.UNAVAILABLE), (504, GrpcCode.UNAVAILABLE),
    ],
)  # fmt: skip
def test_case_25_http_status_without_grpc_status(role: str, http: int, code: GrpcCode) -> None:
    ended = response(role, wire.headers(1, [(b":status", b"%d" % http)], LAST))
    status, message = result_of(ended)
    assert (status.code, message) == (code, b"")
    assert str(http) in status.message or http == 200


@only_client
def test_case_25_body_of_a_proxy(role: str) -> None:
    head = wire.headers(1, [(b":status", b"503"), (b"content-type", b"text/plain")])
    ended = response(role, head, wire.data(1, b"no healthy upstream", wire.END_STREAM))
    assert result_of(ended)[0].code is GrpcCode.UNAVAILABLE


@only_client
@pytest.mark.parametrize("trailers", [[], [(b"x", b"y")]])
def test_case_25_no_grpc_status(role: str, trailers: list[tuple[bytes, bytes]]) -> None:
    body = wire.data(1, frame(b"x"), 0 if trailers else wire.END_STREAM)
    tail = wire.headers(1, trailers, LAST) if trailers else b""
    ended = response(role, wire.headers(1, wire.RESPONSE), body, tail)
    assert result_of(ended)[0].code is GrpcCode.UNKNOWN


@only_client
@pytest.mark.parametrize("value", [b"", b"17", b"-1", b"OK", b"00000000", b"9" * 50])
def test_case_25_grpc_status_that_is_none(role: str, value: bytes) -> None:
    ended = response(role, wire.headers(1, [*wire.RESPONSE, (b"grpc-status", value)], LAST))
    assert result_of(ended)[0].code is GrpcCode.UNKNOWN


@only_client
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", GrpcCode.INTERNAL), (b"\0\0\0", GrpcCode.INTERNAL), (b"\0\0\0\0\5abc", GrpcCode.INTERNAL),
        (frame(b"a") + b"\0", GrpcCode.INTERNAL), (frame(b"a") + frame(b"b"), GrpcCode.INTERNAL),
        (b"\0\xff\xff\xff\xff", GrpcCode.RESOURCE_EXHAUSTED), (b"\1\0\0\0\1x", GrpcCode.INTERNAL),
        (b"\2\0\0\0\1x", GrpcCode.INTERNAL),
    ],
)  # fmt: skip
def test_case_25_broken_messages(role: str, body: bytes, code: GrpcCode) -> None:
    tail = wire.headers(1, wire.TRAILERS, LAST)
    ended = response(role, wire.headers(1, wire.RESPONSE), wire.data(1, body) if body else b"", tail)
    status, message = result_of(ended)
    assert (status.code, message) == (code, b"")


@only_client
def test_case_25_prefix_split_over_frames(role: str) -> None:
    body = frame(b"hello")
    parts = [wire.data(1, body[at : at + 1]) for at in range(len(body))]
    ended = response(role, wire.headers(1, wire.RESPONSE), *parts, wire.headers(1, wire.TRAILERS, LAST))
    assert result_of(ended)[1] == b"hello"


@only_client
def test_case_25_connection_lost(role: str) -> None:
    victim = Victim(role)
    victim.stream()
    victim.events += victim.conn.receive_eof(0)
    failed = victim.events[-2]
    assert isinstance(failed, Failed)
    assert code_of_error(failed.error) is GrpcCode.UNAVAILABLE


def test_case_25_message_over_the_limit_is_refused_by_its_prefix() -> None:
    reader = MessageReader()
    with pytest.raises(GrpcError) as caught:
        reader.feed(b"\0" + (MAX_MESSAGE + 1).to_bytes(4, "big"))
    assert caught.value.code is GrpcCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("encoding", [None, b"", b"identity"])
def test_case_25_compressed_flag_without_encoding(encoding: bytes | None) -> None:
    with pytest.raises(GrpcError) as caught:
        unframe(b"\1\0\0\0\1x", encoding)
    assert caught.value.code is GrpcCode.INTERNAL


def test_case_25_unknown_encoding() -> None:
    with pytest.raises(GrpcError, match="snappy") as caught:
        unframe(b"\1\0\0\0\1x", b"snappy")
    assert caught.value.code is GrpcCode.UNIMPLEMENTED


def compressed(message: bytes) -> bytes:
    return b"\1" + len(message).to_bytes(4, "big") + message


def test_compressed_messages_are_read() -> None:
    assert unframe(compressed(gzip.compress(b"hello")), b"gzip") == b"hello"
    assert unframe(compressed(zlib.compress(b"hello")), b"deflate") == b"hello"


@pytest.mark.parametrize(
    "message",
    [b"", b"junk", gzip.compress(b"x")[:-1], gzip.compress(b"x") + b"more", zlib.compress(b"x")],
    # gzip stamps the time: an id made of the bytes would differ between the processes that run the suite.
    ids=["empty", "junk", "cut", "more", "zlib"],
)
def test_case_25_broken_compression(message: bytes) -> None:
    with pytest.raises(GrpcError) as caught:
        unframe(compressed(message), b"gzip")
    assert caught.value.code is GrpcCode.INTERNAL


def test_case_25_compression_bomb() -> None:
    with pytest.raises(GrpcError) as caught:
        unframe(compressed(gzip.compress(bytes(10 * MAX_MESSAGE))), b"gzip")
    assert caught.value.code is GrpcCode.RESOURCE_EXHAUSTED
