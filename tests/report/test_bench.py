"""Load runs, rendered."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console

from tests.report.loads import load
from whichpod.load.progress import LoadProgress
from whichpod.model.histogram import Histogram
from whichpod.model.plan import Plan
from whichpod.model.report import Report, Saturation
from whichpod.model.tally import Tally
from whichpod.model.target import Target
from whichpod.report.bench_csv import COLUMNS, bench_csv
from whichpod.report.bench_live import live_view
from whichpod.report.bench_markdown import bench_markdown
from whichpod.report.bench_rows import natural, server_rows
from whichpod.report.bench_terminal import print_bench


def printed(report: Report, *, width: int = 160) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    print_bench(Console(file=file, width=width, highlight=False, markup=False, emoji=False), report)
    file.seek(0)
    return file.read()


def test_a_person_sees_servers_totals_the_client_and_what_became_of_it() -> None:
    text = printed(load(rate=1500.0))
    for said in (
        "dns:///echo:50051", "open loop, 1,500 RPCs/s constant",
        "1 connection to each of 3 addresses x 20 streams", "2 workers",
        "echo-0", "echo-2", "33.8%", "p99", "max",
        "2,950 of 2,967 RPCs done in 2.00 s", "10 failed (10 UNAVAILABLE)", "7 dropped", "50 more to warm up",
        "latency, from the scheduled time", "service time, from the sending",
        "worker 1: 25% of a core", "worker 2: 95% of a core", "10 late sends",
        "THE CLIENT WAS THE LIMIT", "Worker 2 used 95% of a core", "3 connections open, 3 in all",
        "first error: UNAVAILABLE: no room", "expected random: failed",
        "p99>1ms", "FAILED", "errors>50%", "ok", "rps<9000", "can't tell", "The client itself was the limit.",
    ):  # fmt: skip
        assert said in text, (said, text)
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [30, 60, 80, 100])
def test_no_figure_is_cut_in_a_narrow_terminal(width: int) -> None:
    wide, narrow = printed(load(rate=1500.0)), printed(load(rate=1500.0), width=width)
    assert "…" not in narrow
    line = next(line for line in wide.splitlines() if line.startswith("echo-1"))
    assert all(figure in narrow for figure in re.split(r" {2,}|█+", line)), narrow
    line = next(line for line in wide.splitlines() if line.startswith("service time"))
    assert all(figure in narrow for figure in re.split(r" {2,}", line)[1:]), narrow


def test_in_closed_loop_there_is_one_time_and_it_says_from_when() -> None:
    text = printed(load())
    assert "latency (closed loop, from the sending)" in text
    assert "service time" not in text
    assert "late send" not in text


def test_many_servers_are_shown_by_their_extremes() -> None:
    report = load(1000, 1000)
    report.verdict = report.diagnosis = None
    text = printed(report)
    assert len(text.splitlines()) < 50
    for said in (
        "most RPCs",
        "fewest RPCs",
        "slowest (p99)",
        "most errors",
        "echo-999",
        "1000 servers: RPCs",
    ):
        assert said in text
    markdown = bench_markdown(report)
    assert len(markdown.splitlines()) < 80
    assert "1000 servers: RPCs" in markdown
    assert len(bench_csv(report).splitlines()) == 1002


def test_a_long_list_of_addresses_is_cut_short() -> None:
    report = load()
    report.target = Target("ipv4:" + ",".join(f"10.0.0.{i}:1" for i in range(100)))
    for text in (printed(report), bench_markdown(report)):
        assert "10.0.0.4:1,… 100 addresses" in text
        assert "10.0.0.5:1" not in text


def test_a_run_without_an_answer_has_a_report_too() -> None:
    report = Report(Target("echo:1"), Plan(), Tally(), tool="bench")
    assert "0 of 0 RPCs done" in printed(report)
    assert "# Load on echo:1" in bench_markdown(report)
    assert len(bench_csv(report).splitlines()) == 2


def test_servers_are_in_the_order_of_the_numbers_in_their_names() -> None:
    assert sorted(["echo-10", "echo-9", "a", "10.0.0.2:1", "9.0.0.1:1", "echo"], key=natural) == [
        "9.0.0.1:1", "10.0.0.2:1", "a", "echo", "echo-9", "echo-10",
    ]  # fmt: skip


def test_silent_servers_that_are_known_have_a_row() -> None:
    report = load()
    assert report.verdict is not None
    report.verdict.counts["echo-3"] = 0
    assert [(row.label, row.count) for row in server_rows(report)][-1] == ("echo-3", 0)
    assert "echo-3" in printed(report)


def test_csv_reads_back() -> None:
    report = load(rate=1500.0)
    rows = list(csv.DictReader(io.StringIO(bench_csv(report))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["scope"] for row in rows] == ["backend"] * 3 + ["total"]
    assert [row["server"] for row in rows] == ["echo-0", "echo-1", "echo-2", ""]
    assert sum(int(row["done"]) for row in rows[:3]) == int(rows[3]["done"]) == report.tally.done
    assert sum(float(row["share"]) for row in rows[:3]) == pytest.approx(1, abs=1e-5)
    assert float(rows[3]["latency_p99_ms"]) * 1e6 == report.tally.latency.percentile(99)
    assert float(rows[2]["service_p50_ms"]) * 1e6 == report.tally.backends["echo-2-17"].service.percentile(50)
    closed = list(csv.DictReader(io.StringIO(bench_csv(load()))))
    assert {row["service_p99_ms"] for row in closed} == {""}


def test_names_from_the_wire_do_no_harm() -> None:
    report = load(prefix="=\x1b[2J|*x*-")
    assert "\x1b" not in printed(report) + bench_markdown(report) + bench_csv(report)
    assert "'= [2J|*x*-0" in bench_csv(report)
    row = next(line for line in bench_markdown(report).splitlines() if "x" in line and line.startswith("| ="))
    assert re.sub(r"\\\|", "", row).count("|") == 10


def test_markdown_has_the_verdict_the_conditions_and_tables_of_one_width() -> None:
    text = bench_markdown(load(rate=1500.0))
    for said in (
        "# Load on dns:///echo:50051", "**The client was the limit.**", "| `p99>1ms` | FAILED | 2.9 ms |",
        "**Balanced**", "Expected `random`: **failed**.", "## Servers", "| echo-1 |",
    ):  # fmt: skip
        assert said in text, said
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert len(tables) == 4
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_an_unsaturated_client_is_not_called_the_limit() -> None:
    report = load(saturation=Saturation())
    assert "LIMIT" not in printed(report)
    assert "limit" not in bench_markdown(report).replace("The client itself was the limit.", "")


def live(counts: dict[str, int], elapsed: float = 2.5, height: int = 24) -> str:
    now = LoadProgress(elapsed, sum(counts.values()), 3, 1234.5, None, counts)
    return str(live_view(now, Plan(requests=None, duration_s=10.0), height=height, mark="#"))


def test_progress_shows_the_rate_and_a_bar_per_server() -> None:
    text = live({"echo-10": 50, "echo-9": 100, "echo-0": 100})
    assert "###### " not in text.splitlines()[0]
    assert "2.5 of 10 s  1,234 rps  250 done  3 failed" in text
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["echo-0", "echo-9", "echo-10"]
    assert "20.0%" in text.splitlines()[-1]


def test_progress_fits_whatever_there_is() -> None:
    assert live({f"echo-{i}": 100 for i in range(1000)}).splitlines()[1:] == [
        "1,000 servers: 100 to 100 RPCs, coefficient of variation 0"
    ]
    assert len(live({f"echo-{i}": 1 for i in range(10)}, height=5).splitlines()) == 2
    assert live({}, elapsed=-0.7) == "warming up, 0.7 s to go"
    assert len(live({}).splitlines()) == 1
    requests = live_view(LoadProgress(1.0, 30, 0, 30.0, 60, {}), Plan(requests=60), height=9, mark="#")
    assert str(requests).startswith("#" * 12 + "-" * 12 + " 30 of 60 RPCs")


def test_percentiles_of_nothing_are_dashes() -> None:
    report = load()
    report.tally.latency = Histogram()
    assert "| - | - |" in bench_markdown(report)
