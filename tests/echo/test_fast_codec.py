"""The echo service's messages without a Protobuf runtime: what the runtime makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.echo.fast.codec import (
    MASK,
    Answers,
    DecodeError,
    payload_of,
    server_field,
    service_of,
    stream_request_of,
)
from whichpod.echo.identity import Identity
from whichpod.echo.v1 import echo_pb2

IDENTITY = Identity("id-1", "pöd", "10.0.0.1", "", "node", "zone")
EDGES = [1, 126, 127, 128, 129, MASK - 1, MASK, MASK + 1, MASK + 2, 2**21 - 1, 2**21, 2**28, 2**35]


def parsed(framed: bytes) -> echo_pb2.EchoReply:
    assert framed[0] == 0
    assert int.from_bytes(framed[1:5], "big") == len(framed) - 5
    return echo_pb2.EchoReply.FromString(framed[5:])


def answers() -> Answers:
    return Answers(server_field(IDENTITY), "ipv4:127.0.0.1:1", "ipv4:127.0.0.1:1#1")


def expected(payload: bytes, call: int, sequence: int, received: int, size: int) -> echo_pb2.EchoReply:
    return echo_pb2.EchoReply(
        server=echo_pb2.Server(id="id-1", pod="pöd", pod_ip="10.0.0.1", node="node", zone="zone"),
        payload=payload, peer="ipv4:127.0.0.1:1", connection="ipv4:127.0.0.1:1#1", call=call,
        sequence=sequence, received=received, received_bytes=size,
    )  # fmt: skip


NUMBERS = st.integers(0, 2**40)


@given(st.binary(max_size=300), st.integers(1, 2**40), st.integers(1, 2**40), NUMBERS, NUMBERS)
def test_answers_are_what_the_runtime_reads(
    payload: bytes, call: int, sequence: int, received: int, size: int
) -> None:
    made = answers().answer(payload, call, sequence, received, size)
    assert parsed(made) == expected(payload, call, sequence, received, size)


@pytest.mark.parametrize("payload", [b"", b"x", bytes(127), bytes(128), bytes(20_000)])
@pytest.mark.parametrize("first", EDGES)
def test_answers_of_a_run_are_what_one_by_one_makes(payload: bytes, first: int) -> None:
    made = answers()
    made.prepare(payload, first)
    assert made.until >= first
    for call in {first, min(first + 1, made.until), min(first + 200, made.until), made.until}:
        run = made.lead + made.numbers[call & MASK] + made.rest
        assert run == made.answer(payload, call, 1, 1, len(payload))


@given(st.binary(max_size=200) | st.builds(lambda size: bytes(size), st.integers(0, 20_000)))
def test_payloads_come_back(payload: bytes) -> None:
    assert payload_of(echo_pb2.EchoRequest(payload=payload).SerializeToString()) == payload


@given(st.binary(max_size=60))
def test_any_octets_are_read_as_the_runtime_reads_them(octets: bytes) -> None:
    try:
        wanted = echo_pb2.EchoRequest.FromString(octets).payload
    except Exception:
        with pytest.raises(DecodeError):
            payload_of(octets)
        return
    assert payload_of(octets) == wanted


@given(st.binary(max_size=60), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_stream_requests(payload: bytes, messages: int, interval: int) -> None:
    request = echo_pb2.ServerStreamRequest(payload=payload, messages=messages, interval_ms=interval)
    assert stream_request_of(request.SerializeToString()) == (payload, messages, interval)


@pytest.mark.parametrize("octets", [b"\x0a\x01", b"\x0a\x02\xff\xfe", b"\xff"])
def test_what_names_no_service(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        service_of(octets)
