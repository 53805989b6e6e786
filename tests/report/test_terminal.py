"""The report and the matrix as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.report.rows import matrix, report
from whichpod.model.report import Matrix
from whichpod.report.matrix_table import distribution, print_matrix
from whichpod.report.terminal import print_report


def text_of(show: object, *args: object, encoding: str = "utf-8", **kwargs: object) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show(Console(file=file, width=160, markup=False), *args, **kwargs)  # type: ignore[operator]
    file.flush()
    return raw.getvalue().decode(encoding)


def test_a_report_says_who_what_and_why() -> None:
    text = text_of(print_report, report())
    for part in (
        "echo-0", "100.0%", "echo-4", "0.0%", "250 µs", "NOT BALANCED", "All 50 RPCs went to echo-0",
        "servers hit 1 of 5", "variance 400", "chi-square 200", "Jain's index 0.2",
        "1 failed (1 UNAVAILABLE)",
        "1 open at one time", "first error: UNAVAILABLE: gone", "Why: The cause.", "What to change: The fix.",
        "expected none: passed",
    ):  # fmt: skip
        assert part in text, part
    assert "\x1b" not in text, "no escape codes in a pipe"


def test_ascii_terminals_get_ascii_bars() -> None:
    rows = text_of(print_matrix, matrix(), encoding="ascii", verbose=True)
    assert "####" in rows


def test_the_matrix_shows_each_row_and_counts_a_skipped_one_as_skipped() -> None:
    text = text_of(print_matrix, matrix())
    assert "50/0/0/0/0" in text
    assert "4 configurations in 2.0 s: 1 as expected, 1 not as expected, 1 can't tell, 1 skipped." in text
    assert "1 configuration in 0.0 s: 1 as expected." in text_of(print_matrix, Matrix({}, matrix().rows[:1]))
    assert "HAProxy was not found." in text
    assert "It is so." in text
    assert "And here is more" not in text


def test_verbose_shows_the_distribution_and_the_guide() -> None:
    text = text_of(print_matrix, matrix(), verbose=True)
    assert "echo-3" in text
    assert "And here is more." in text
    assert "The guide: A claim." in text


@pytest.mark.parametrize("width", [30, 60, 80])
def test_no_figure_is_cut_in_a_narrow_terminal(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=width)
    print_report(console, report())
    print_matrix(console, matrix())
    assert "…" not in file.getvalue()


def test_many_counts_are_cut_short() -> None:
    row = matrix().rows[0]
    row.counts = {f"echo-{i}": i for i in range(50)}
    assert distribution(row) == "49/48/47/46/45/44/43/42/… min 0 of 50"
