"""A report on its way through a log that is cut, mixed and repeated."""

from __future__ import annotations

import random
import re
import zlib
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whichpod.cluster.kubernetes.result import (
    MOST_LINE,
    RESULT,
    ResultReader,
    error_lines,
    progress_line,
    read_progress,
    read_result,
    report_lines,
)
from whichpod.load.progress import LoadProgress
from whichpod.model.errors import (
    ClusterError,
    ExitCode,
    LabError,
    ManifestError,
    MissingExtraError,
    TargetError,
    UsageError,
    WhichpodError,
)
from whichpod.model.histogram import Histogram
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.tally import BackendTally, Tally
from whichpod.model.target import Backend, Target


def made(backends: int, spread: int = 1000) -> Report:
    """A report such as a load run of some minutes has."""
    chance = random.Random(1)
    tally = Tally(statuses={"OK": 1000 * backends})
    for n in range(backends):
        one = BackendTally(Backend(f"id-{n}", f"echo-{n}", f"10.0.0.{n}"), done=1000)
        for histogram in (one.latency, one.service):
            histogram.merge(Histogram(int(chance.lognormvariate(13, 1)) for _ in range(spread)))
        tally.backends[one.backend.id] = one
        tally.connections[f"{chance.getrandbits(64):x}"] = {one.backend.id: 1000}
    tally.scheduled = tally.done = 1000 * backends
    return Report(Target("dns:///echo:50051"), Plan(requests=1000 * backends), tally, tool="bench")


REPORT = made(5)
LINES = list(report_lines(REPORT))
TEXT = REPORT.to_text()


def test_a_report_comes_through() -> None:
    assert len(LINES) > 3
    assert max(map(len, LINES)) <= MOST_LINE
    assert read_result(LINES).to_text() == TEXT
    assert read_result(line + "\r\n" for line in LINES).to_text() == TEXT


def test_a_report_of_a_hundred_backends_comes_through_a_log_that_is_cut_and_mixed() -> None:
    chance, report = random.Random(2), made(100, spread=200)
    log = [line for line in report_lines(report) for line in (line[:4096], "I0101 grpc: x", line[4096:])]
    log += chance.choices(log, k=10)
    assert max(map(len, log)) <= MOST_LINE
    assert read_result(log).to_text() == report.to_text()


def test_it_is_known_when_it_is_complete() -> None:
    reader = ResultReader()
    for line in LINES:
        assert not reader.complete
        reader.take(line)
    assert reader.complete
    assert reader.report().to_text() == TEXT


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_other_lines_between_other_orders_and_repetitions_do_no_harm(chance: random.Random) -> None:
    others = ["", "done", "I0101 grpc: x", "whichpod-progress: {}", "AAAA", "whichpod-result:", LINES[0][:50]]
    log = LINES + chance.choices(LINES, k=3)
    chance.shuffle(log)
    mixed = [text for line in log for text in (line, *chance.choices(others, k=chance.randrange(3)))]
    stamped = [f"2026-01-01T00:00:00Z {line} <" for line in mixed]
    assert read_result(mixed).to_text() == TEXT
    assert read_result(stamped).to_text() == TEXT


@settings(max_examples=20)
@given(st.integers(1, 20_000), st.integers(0, 20_000))
def test_lines_may_be_cut_anywhere(every: int, first: int) -> None:
    text = "\n".join(LINES)
    cuts = [first, *range(first + every, len(text), every)]
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read_result("\n".join(pieces).split("\n")).to_text() == TEXT


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_where_data_is_cut_other_lines_may_come_between(chance: random.Random) -> None:
    log = []
    for line in LINES:
        head = re.match(r"\S+ \S+ \S+ \S+ \S+ ", line)
        assert head
        at = chance.randint(head.end(), len(line) - 1)
        log += [line[:at], "stderr: something else", "", line[at:]]
    assert read_result(log).to_text() == TEXT


def test_two_lines_in_one_are_two() -> None:
    assert read_result(["".join(LINES)]).to_text() == TEXT
    assert read_result([f"unfinished {line}" for line in LINES]).to_text() == TEXT


def test_of_two_results_the_last_counts() -> None:
    other = list(report_lines(made(2)))
    assert len(read_result([*LINES, *other]).tally.backends) == 2
    # And one that never got whole is no result.
    assert len(read_result([*other, *LINES[:-1]]).tally.backends) == 2


# What can't be read


def damaged(line: str) -> str:
    return line[:-5] + ("A" if line[-5] != "A" else "B") + line[-4:]


@pytest.mark.parametrize(
    "log", [LINES[:-1], LINES[1:], [*LINES[:1], LINES[1][:-4], *LINES[2:]], [damaged(LINES[0]), *LINES[1:]]]
)
def test_a_part_is_told_from_the_whole(log: list[str]) -> None:
    with pytest.raises(ClusterError, match=f"has {len(LINES) - 1} of the {len(LINES)} parts") as e:
        read_result(log)
    assert "again" in e.value.fix


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ([], "ended without a result. It wrote nothing"),
        (["Traceback", "MemoryError: \x1b[1m", ""], r"The last that it wrote: MemoryError: \[1m"),
        ([RESULT], "ended without a result"),
        ([f"{RESULT} 00000000 1/1 4 00000000 AAAA"], "ended without a result"),
    ],
)
def test_no_result_is_an_error_with_the_last_words(log: list[str], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        read_result(log)


def packed(data: bytes) -> list[str]:
    text = b64encode(data).decode()
    return [f"{RESULT} {zlib.crc32(data):08x} 1/1 {len(text)} {zlib.crc32(text.encode()):08x} {text}"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no gzip", "can't be read: Error -3"),
        (zlib.compress(b"{", wbits=31), "can't be read: Expecting"),
        (zlib.compress(b"[]", wbits=31), "it is no object"),
        (zlib.compress(b"{}", wbits=31), "It holds no report"),
        (zlib.compress(b'{"report": {"schema_version": 99}}', wbits=31), "expected schema_version 1"),
        (zlib.compress(b'{"error": 5}', wbits=31), "it does not say of what"),
    ],
)
def test_a_broken_result_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        read_result(packed(data))


def test_a_result_that_unfolds_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichpod.cluster.kubernetes.result.MOST_BYTES", 1000)
    with pytest.raises(ClusterError, match="can't be read"):
        read_result(packed(zlib.compress(b'{"report": "' + b"x" * 5000 + b'"}', wbits=31)))


@given(st.lists(st.text() | st.tuples(st.integers(1, len(LINES) - 1), st.booleans()), max_size=8))
def test_no_log_is_a_crash(log: list[str | tuple[int, bool]]) -> None:
    # Any of the lines but the first, whole or only its beginning.
    with pytest.raises(ClusterError):
        read_result(x if isinstance(x, str) else LINES[x[0]][: 90 if x[1] else None] for x in log)


# Errors


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TargetError("Nothing listens.", fix="Start it."), TargetError),
        (UsageError("Wrong.", fix="Right."), UsageError),
        (LabError("Broke."), LabError),
        (ClusterError("Gone.", fix="Come back."), ClusterError),
        (MissingExtraError("X", "lab"), UsageError),
        (ManifestError("a.yaml", 3, "odd"), UsageError),
    ],
)
def test_errors_travel_as_what_they_are(error: WhichpodError, kind: type[WhichpodError]) -> None:
    with pytest.raises(kind) as e:
        read_result(["other", *error_lines(error)])
    assert type(e.value) is kind
    assert (e.value.message, e.value.fix) == (error.message, error.fix)
    assert e.value.exit_code == error.exit_code


def test_a_bug_travels_as_a_failure_of_the_client() -> None:
    with pytest.raises(ClusterError, match="The client failed: KeyError: 'x'") as e:
        read_result(error_lines(KeyError("x")))
    assert e.value.exit_code is ExitCode.FAILED


# Progress


def test_progress_is_a_line() -> None:
    line = progress_line(LoadProgress(1.5, 10, 0, 6.7, None, {"echo-0": 10}))
    assert "\n" not in line
    said = read_progress(f"2026-01-01 {line}")
    assert said is not None
    assert said["counts"] == {"echo-0": 10}


@pytest.mark.parametrize("line", ["", "other", "whichpod-progress: {", "whichpod-progress: 1", LINES[0]])
def test_other_lines_are_no_progress(line: str) -> None:
    assert read_progress(line) is None
