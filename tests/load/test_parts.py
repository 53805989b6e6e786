"""The engine's pure parts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.echo.v1 import echo_pb2
from whichpod.load.address import parse
from whichpod.load.call import Call, Identify, echo_call
from whichpod.load.cells import Cell
from whichpod.load.closed_loop import level
from whichpod.load.engine import Engine, Share
from whichpod.load.fields import FieldError, encode_bytes, encode_varint, fields, find
from whichpod.load.job import Job
from whichpod.load.open_loop import MOST_AT_ONCE
from whichpod.load.run import authority_of, jobs_of
from whichpod.load.saturation import saturation_of
from whichpod.model.histogram import HIGHEST_NS, Histogram
from whichpod.model.plan import Arrivals, Plan
from whichpod.model.report import WorkerLoad
from whichpod.model.tally import Tally
from whichpod.model.target import Target, Tls


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 200))
def test_levelling(sent: list[int], left: int) -> None:
    more = level(sent, left)
    assert sum(more) == left
    assert all(n >= 0 for n in more)
    reached = [n + m for n, m in zip(sent, more, strict=True)]
    # Whoever gets some is among the lowest afterwards, give or take one.
    got = [r for r, m in zip(reached, more, strict=True) if m]
    assert not got or max(got) - min(reached) <= 1


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 1000))
def test_shares_add_up(lines: int, workers: int, total: int) -> None:
    channels = list(enumerate(["127.0.0.1:1"] * lines))
    shares = [Share(tuple(channels[i::workers]), lines) for i in range(workers)]
    assert sum(share.part(total) for share in shares) == total


def test_a_schedule_that_is_behind_lets_the_loop_turn() -> None:
    lines = ((0, "127.0.0.1:1"),)
    engine = Engine(Plan(requests=None, duration_s=60, rate=1e6), echo_call(), Share(lines, 1), authority="a")
    engine.began = time.monotonic_ns() - 10**10
    engine.pace.begin()
    assert engine.pace.scheduled == MOST_AT_ONCE
    assert not engine.pace.sent_all


@given(st.lists(st.tuples(st.integers(0, 2 * HIGHEST_NS), st.integers(1, 5)), max_size=30))
def test_a_cell_counts_as_a_histogram_does(values: list[tuple[int, int]]) -> None:
    cell, expected = Cell(None, service=False), Histogram()
    for value, times in values:
        cell.add(value, times, 1)
        expected.record(value, times)
    assert cell.latency() == expected
    assert cell.done == expected.count


@given(st.binary(max_size=40), st.text(max_size=10), st.integers(0, 2**64 - 1))
def test_fields_are_protobufs(payload: bytes, text: str, call: int) -> None:
    reply = echo_pb2.EchoReply(server=echo_pb2.Server(id=text), payload=payload, call=call)
    data = reply.SerializeToString()
    assert find(data, (1, 1)) == (text.encode() if text else None)
    assert find(data, (2,)) == (payload or None)
    assert find(data, (5,)) == (call or None)
    request = echo_call(payload).message
    assert echo_pb2.EchoRequest.FromString(request).payload == payload


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_an_error(data: bytes) -> None:
    try:
        list(fields(data))
    except FieldError:
        return
    assert len(data) < 60 or data


@given(st.integers(0, 2**64 - 1))
def test_varints(value: int) -> None:
    assert list(fields(b"\x08" + encode_varint(value))) == [(1, value)]


def test_the_last_of_a_field_holds() -> None:
    assert find(encode_bytes(1, b"a") + encode_bytes(1, b"b"), (1,)) == b"b"
    with pytest.raises(FieldError):
        find(b"\x08\x01", (1, 1))
    with pytest.raises(FieldError):
        find(b"\x0b", (1,))
    with pytest.raises(FieldError):
        find(b"\x0a\x05ab", (1,))
    with pytest.raises(FieldError):
        find(b"\x08" + b"\xff" * 11, (1,))


def test_addresses() -> None:
    assert parse("10.0.0.1:50051") == ("10.0.0.1", 50051)
    assert parse("[::1]:1") == ("::1", 1)
    assert parse("unix:/a/b") == parse("unix:///a/b") == "/a/b"


@pytest.mark.parametrize(
    ("target", "authority"),
    [
        ("echo:50051", "echo:50051"),
        ("dns:///echo:50051", "echo:50051"),
        ("dns://127.0.0.1:53/echo:50051", "echo:50051"),
        ("dns:echo:1", "echo:1"),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", "10.0.0.1:1"),
        ("unix:/x", "localhost"),
    ],
)
def test_authorities(target: str, authority: str) -> None:
    assert authority_of(target, "10.0.0.1:1") == authority


def test_a_job_survives_json() -> None:
    plan = Plan(
        requests=None, duration_s=1, rate=5, arrivals=Arrivals.POISSON, workers=2, connections=2, seed=5
    )
    call = Call("/a.B/C", b"\x00\xff", Identify("field", "a.b", (1, 2)))
    jobs = jobs_of(Target("a:1", tls=Tls("")), plan, call, ["127.0.0.1:1"])
    assert [Job.of_json(job.to_json()) for job in jobs] == jobs
    # Poisson arrivals of workers must not coincide.
    assert [job.share.seed for job in jobs] == [5, 6]


@pytest.mark.parametrize(
    ("load", "plan", "reason"),
    [
        (WorkerLoad(cpu_share=0.9), Plan(), "90% of a core"),
        (WorkerLoad(lag_p99_ns=20_000_000), Plan(), "20 ms late at p99"),
        (WorkerLoad(late_sends=50), Plan(rate=1), "50 of 100 RPCs"),
        (WorkerLoad(lost=True), Plan(), "died"),
        (WorkerLoad(cpu_share=0.7, late_sends=50), Plan(), ""),
        (WorkerLoad(late_sends=5), Plan(rate=1), ""),
    ],
)
def test_when_the_client_was_the_limit(load: WorkerLoad, plan: Plan, reason: str) -> None:
    found = saturation_of(plan, Tally(scheduled=100), [load])
    assert found.saturated == bool(reason)
    assert reason in " ".join(found.reasons)
