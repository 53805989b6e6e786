"""Statuses on the wire and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whichpod.wire.block import Block
from whichpod.wire.codes import GrpcCode, reset_of_code
from whichpod.wire.errors import ErrorCode, code_name
from whichpod.wire.grpc import call_fields, failure, is_grpc, request_fault, result_of, unary_call
from whichpod.wire.messages import frame
from whichpod.wire.status import (
    GrpcStatus,
    decode_binary,
    decode_message,
    encode_binary,
    encode_message,
    status_of,
    trailers,
)
from whichpod.wire.stream import Stream

text = st.text(st.characters(exclude_categories=["Cs"]))


def finished(*, head: tuple[tuple[bytes, bytes], ...], tail: tuple[tuple[bytes, bytes], ...] = ()) -> Stream:
    stream = Stream()
    stream.id = 1
    stream.head = Block(head, request=False)
    stream.trailers = Block(tail, request=False) if tail else None
    return stream


@given(text)
def test_message_survives(message: str) -> None:
    value = encode_message(message)
    assert decode_message(value) == message
    assert Block(((b"grpc-message", value), (b"x", value)), request=False).trailing


def test_message_is_encoded_as_grpc_does() -> None:
    assert encode_message("50% of é\n~ ") == b"50%25 of %C3%A9%0A~%20"
    assert decode_message(b"%zz 100% %41") == "%zz 100% A"
    assert decode_message(b"%FF") == "�"


@given(st.binary())
def test_binary_survives_with_and_without_padding(value: bytes) -> None:
    encoded = encode_binary(value)
    assert b"=" not in encoded
    assert decode_binary(encoded) == value
    assert decode_binary(encoded + b"=" * (-len(encoded) % 4)) == value


def test_what_is_not_base64() -> None:
    assert decode_binary(b"a") is None
    assert decode_binary(b"!!!!") is None


@given(st.sampled_from(GrpcCode), text, st.binary())
def test_status_survives(code: GrpcCode, message: str, details: bytes) -> None:
    stream = finished(head=((b":status", b"200"),), tail=trailers(code, message, details))
    assert status_of(stream) == GrpcStatus(code, message, details)
    assert status_of(stream) is status_of(stream)


def test_trailers_only() -> None:
    stream = finished(head=failure(GrpcStatus(GrpcCode.NOT_FOUND, "gone")))
    assert result_of(stream) == (GrpcStatus(GrpcCode.NOT_FOUND, "gone"), b"")


def test_no_status_is_not_kept_with_trailers_of_another_response() -> None:
    """Trailers without a status mean what the head says, and two responses may share trailers."""
    tail = Block(((b"x", b"y"),), request=False)
    for http, code in ((b"200", GrpcCode.UNKNOWN), (b"503", GrpcCode.UNAVAILABLE)):
        stream = finished(head=((b":status", http),))
        stream.trailers = tail
        assert status_of(stream).code is code


def test_result_of_a_good_response() -> None:
    stream = finished(head=((b":status", b"200"),), tail=trailers(0))
    stream.body = frame(b"hi")
    assert result_of(stream) == (GrpcStatus(GrpcCode.OK), b"hi")


def test_failed_before_the_head() -> None:
    stream = Stream()
    stream.id = 1
    assert status_of(stream).code is GrpcCode.UNKNOWN


def test_calls() -> None:
    fields = call_fields("/a.B/C", "host:1", timeout_ns=10**9, metadata=((b"k", b"v"),))
    block = Block(fields, request=True)
    assert not block.flaw
    assert request_fault(block) == 0
    assert block.get(b"grpc-timeout") == b"1000000u"
    assert fields[-1] == (b"k", b"v")
    assert unary_call(fields, b"x").body == frame(b"x")


def test_what_is_a_grpc_request() -> None:
    def head(method: bytes, kind: bytes) -> Block:
        fields = ((b":method", method), (b":scheme", b"http"), (b":path", b"/"), (b"content-type", kind))
        return Block(fields, request=True)

    assert is_grpc(head(b"POST", b"application/grpc+proto"))
    assert is_grpc(head(b"POST", b"application/grpc; v=1"))
    assert request_fault(head(b"GET", b"application/grpc")) == 405
    assert request_fault(head(b"POST", b"application/grpc-web")) == 415


def test_codes() -> None:
    assert reset_of_code(GrpcCode.CANCELLED) is ErrorCode.CANCEL
    assert reset_of_code(GrpcCode.RESOURCE_EXHAUSTED) is ErrorCode.ENHANCE_YOUR_CALM
    assert reset_of_code(GrpcCode.UNKNOWN) is ErrorCode.INTERNAL_ERROR
    assert code_name(8) == "CANCEL"
    assert code_name(99) == "code 0x63"
