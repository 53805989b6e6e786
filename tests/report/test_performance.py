"""The performance table in its formats."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console

from tests.scenarios.measured import failure, row, visit
from whichpod.model.performance import Performance, Settings
from whichpod.model.verdict import Balance
from whichpod.report.performance_files import performance_csv, performance_markdown
from whichpod.report.performance_table import print_performance
from whichpod.scenarios.performance.figures import conclude


@pytest.fixture
def table() -> Performance:
    rows = [
        row("direct", visit(1, rps=12345), visit(2, rps=20000)),
        row(
            "clusterip",
            visit(1, rps=6000, stand_in=12.3, hit=3, limit="client", balance=Balance.PARTIAL),
            visit(2, rps=6000, stand_in=12.3, hit=4, limit="client", balance=Balance.SKEWED),
        ),
        row(
            "edge",
            visit(1, p50=900_000, p99=5_500_000, proxy=150.4, elsewhere=0.5),
            failure(2),
            guide="20 % slower",
        ),
        row("mtls"),
        row("later"),
    ]
    rows[3].outcome, rows[3].reason = "skipped", "No mTLS | here."
    conclude(rows)
    environment = {"whichpod": "0", "cluster": "loopback"}
    made = Performance(environment, Settings(repetitions=2), rows, ("One caveat.",), duration_s=61.4)
    made.started_at = "2026-01-01T00:00:00+00:00"
    return made


def shown(table: Performance, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    print_performance(console, table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_terminal_has_a_row_each_with_medians_and_ranges(table: Performance) -> None:
    text = shown(table)
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert "16.2k" in lines["direct"]
    assert "12.3k…20.0k" in text
    assert "1.00 ms" in lines["direct"]
    assert "none" in lines["direct"]
    assert "not at hand" in lines["direct"]
    # The client was full, so more may come through; the median of two repetitions.
    assert "≥ 6,000" in lines["clusterip"]
    assert "12.3*" in lines["clusterip"]
    assert "3.5 of 5" in lines["clusterip"]
    assert "-100 µs" in lines["edge"]
    assert "+2.50 ms" in lines["edge"]
    assert "150" in lines["edge"]
    assert "20 % slower" in lines["edge"]
    assert "skipped" in lines["mtls"]
    assert "mtls: skipped: No mTLS | here." in text
    assert "edge: failed: The lab broke." in text
    assert "later: not run" in text
    assert "stand-in for kube-proxy" in text
    assert "0.5 of 2 cores" in text
    assert "One caveat." in text
    assert "5 configurations in 61 s: 2 measured, 1 failed, 1 skipped, 1 not run." in text


def test_a_narrow_terminal_has_the_table_in_parts_with_no_number_cut(table: Performance) -> None:
    lines = shown(table, 80).splitlines()
    rows = [line for line in lines if line.startswith("direct ")]
    assert len(rows) == 3
    assert "16.2k" in rows[0]
    assert "10.0" in rows[1]
    assert "5 of 5" in rows[2]
    assert any("12.3k…20.0k" in line for line in lines)


def test_an_interrupted_table_says_so(table: Performance) -> None:
    table.end_reason = "interrupted"
    assert "(interrupted)" in shown(table)


def test_markdown_has_the_table_and_what_it_ran_on(table: Performance) -> None:
    text = performance_markdown(table)
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 + 5
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert rows[2].startswith("| direct | 16.2k<br>12.3k…20.0k |")
    assert "- One caveat." in lines
    assert "- cluster: loopback" in lines
    assert "Skipped: No mTLS | here." in lines


def test_csv_has_a_line_per_visit_all_of_one_width(table: Performance) -> None:
    lines = list(csv.reader(io.StringIO(performance_csv(table))))
    assert {len(line) for line in lines} == {len(lines[0])}
    first, failed = (dict(zip(lines[0], lines[i], strict=True)) for i in (1, 6))
    assert (first["row"], first["repetition"], first["rps"], first["all_cpu_us"]) == (
        "direct", "1", "12345.0", "20.00",
    )  # fmt: skip
    assert (failed["row"], failed["repetition"], failed["rps"], failed["error"]) == (
        "edge", "2", "", "The lab broke.",
    )  # fmt: skip
    assert len(lines) == 1 + 6


def test_json_is_one_object_with_a_version_and_all_raw_figures(table: Performance) -> None:
    data = json.loads(table.to_text())
    assert (data["schema_version"], data["tool"]) == (1, "bench-matrix")
    assert data["environment"]["cluster"] == "loopback"
    assert data["settings"]["engine"] == "fast"
    direct = data["rows"][0]
    assert direct["figures"]["rps"] == {
        "median": 16172.5, "low": 12345.0, "high": 20000.0, "samples": [12345.0, 20000.0],
    }  # fmt: skip
    assert [v["saturated"]["rps"] for v in direct["visits"]] == [12345, 20000]
    assert data["rows"][2]["visits"][1] == {
        "repetition": 2, "duration_s": 1.0, "low": None, "saturated": None, "error": "The lab broke.",
    }  # fmt: skip
