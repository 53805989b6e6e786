"""nghttpd: answers of HTTP that are gRPC's, and ones that are not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.load.peers.disturbed import disturbed
from tests.load.peers.nghttpd import OK, calling, needs_nghttpd, nghttpd
from tests.load.runs import run

pytestmark = needs_nghttpd


@pytest.mark.parametrize(
    ("args", "plan"),
    [
        ((), {"requests": 3_000, "concurrency": 20}),
        (("--padding=200",), {"requests": 3_000, "concurrency": 20}),
        (("--no-content-length",), {"requests": 3_000, "concurrency": 20}),
        (("-m", "3"), {"requests": 3_000, "concurrency": 20}),
        (("-m", "1", "-n", "2"), {"requests": 300, "rate": 1_000.0}),
        (("--encoder-header-table-size=0", "-c", "0"), {"requests": 3_000, "concurrency": 20}),
    ],
)
def test_answers_of_grpc(args: tuple[str, ...], plan: dict[str, Any]) -> None:
    with nghttpd(*OK, *args) as peer:
        report = run(addresses=[peer.address], call=calling("answer.grpc"), connections=3, **plan)
    done = plan["requests"]
    assert report.tally.statuses == {"OK": done}, report.evidence.first_error
    assert {b.backend.label: b.done for b in report.tally.backends.values()} == {peer.address: done}


@pytest.mark.parametrize("args", [(), ("-w", "11", "-W", "11"), ("--padding=255",)])
def test_large_messages_either_way(args: tuple[str, ...]) -> None:
    call = calling("large.grpc", bytes(100_000))
    with nghttpd(*OK, *args) as peer:
        report = run(addresses=[peer.address], call=call, requests=60, connections=2, concurrency=5)
    assert report.tally.statuses == {"OK": 60}, report.evidence.first_error


@pytest.mark.parametrize(
    ("args", "file", "status"),
    [
        # HTTP to gRPC Status Code Mapping: 200 has no code of its own, 404 is UNIMPLEMENTED.
        ((), "answer.grpc", "UNKNOWN"),
        ((), "none.grpc", "UNIMPLEMENTED"),
        ((), "page.html", "UNKNOWN"),
        # What the file says is no message, or no whole one.
        (OK, "short.grpc", "INTERNAL"),
        (OK, "empty.grpc", "INTERNAL"),
        # Its upload sent back is no answer of gRPC's: it has no content type.
        ((*OK, "--echo-upload"), "answer.grpc", "UNKNOWN"),
        (("--trailer", "grpc-status: 8"), "answer.grpc", "RESOURCE_EXHAUSTED"),
        (("--trailer", "grpc-status: 99"), "answer.grpc", "UNKNOWN"),
        (("--trailer", "grpc-status: none"), "answer.grpc", "UNKNOWN"),
    ],
)
def test_answers_that_are_failures(args: tuple[str, ...], file: str, status: str) -> None:
    with nghttpd(*args) as peer:
        report = run(addresses=[peer.address], call=calling(file), requests=200, concurrency=10)
    assert report.tally.statuses == {status: 200}, report.evidence.first_error
    assert report.end_reason == "target failed"
    assert report.evidence.first_error.startswith(status)


def test_an_answer_before_the_request_s_end() -> None:
    """nghttpd resets the stream with NO_ERROR after the whole answer, which holds (RFC 9113, section 8.1)."""
    with nghttpd("--early-response") as peer:
        call = calling("answer.grpc", bytes(100_000))
        report = run(addresses=[peer.address], call=call, requests=60, connections=2, concurrency=5)
    assert report.tally.statuses == {"UNKNOWN": 60}
    assert report.evidence.first_error == "UNKNOWN: The response has no grpc-status."


def test_a_message_beside_the_status() -> None:
    with nghttpd("--trailer", "grpc-status: 5", "--trailer", "grpc-message: no%20such%20pod") as peer:
        report = run(addresses=[peer.address], call=calling("answer.grpc"), requests=10)
    assert report.evidence.first_error == "NOT_FOUND: no such pod"


def test_it_is_killed_and_started_again() -> None:
    with nghttpd(*OK) as peer:

        def restart() -> None:
            peer.end()
            peer.start()

        report = disturbed(
            peer.address,
            by=restart,
            call=calling("answer.grpc"),
            lasting_s=0.6,
            connections=2,
            concurrency=5,
        )
    assert set(report.tally.statuses) == {"OK", "UNAVAILABLE"}
    assert report.tally.failed <= 20
    assert report.evidence.connections_opened > 2
    assert report.end_reason == "interrupted"
