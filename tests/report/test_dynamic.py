"""Reports of scenarios in time, and the matrix as HTML: all that was measured is there, in each format."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from tests.report.cells import cell, dynamic
from tests.report.rows import matrix
from whichpod.cli.dynamic import code
from whichpod.model.dynamic import Cell, Dynamic
from whichpod.model.errors import ExitCode
from whichpod.report.dynamic_html import dynamic_html
from whichpod.report.dynamic_junit import dynamic_junit
from whichpod.report.dynamic_markdown import dynamic_markdown
from whichpod.report.dynamic_terminal import print_dynamic
from whichpod.report.heat import heat
from whichpod.report.html.chart import chart, colours
from whichpod.report.matrix_html import matrix_html


class Nesting(HTMLParser):
    """Refuses elements that aren't closed where they should be, and collects links and addresses."""

    VOID = ("meta", "line", "rect", "circle")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [i] if (i := found.get("id")) else []
        self.links += [h] if (h := found.get("href")) else []
        assert not {"src", "srcset", "onclick"} & set(found)
        if tag not in self.VOID or tag in ("line", "rect", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Nesting:
    found = Nesting()
    found.feed(html)
    found.close()
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids)
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    return found


@pytest.mark.parametrize("html", [dynamic_html(dynamic()), matrix_html(matrix())])
def test_html_is_well_formed_and_needs_nothing_from_elsewhere(html: str) -> None:
    found = parsed(html)
    assert "bad ? <reason>" in found.text  # escaped, so that it is read as text
    assert "prefers-color-scheme:dark" in html


def test_html_has_all_cells_their_answers_and_a_drawing_each() -> None:
    result = dynamic()
    html = dynamic_html(result)
    found = parsed(html)
    assert html.count("<svg") == 4
    for one in result.cells:
        assert one.name.replace("/", "-") in found.ids
        assert all(a.text in found.text for a in one.answers if a.name != "failed_share")
    assert "The <headless> path" in found.text
    assert "4.0 s" in html or "2.0 s" in html


def test_pods_that_came_later_have_colours_of_their_own() -> None:
    found = colours(cell(), ["echo-0", "echo-1", "echo-2", "echo-3", ""])
    assert [c[6:7] for c in found.values()] == ["c", "c", "w", "w", "u"]
    assert len(set(found.values())) == 5


def test_the_drawing_stacks_up_to_all_rpcs_and_no_further() -> None:
    svg = chart(cell()).partition("</svg>")[0]
    heights = [float(y) for y in re.findall(r"V([\d.]+)", svg)]
    assert min(heights) == 18
    assert max(heights) == 168
    assert "failed: 17 of 500" in svg


def test_where_nothing_was_measured_nothing_is_drawn() -> None:
    empty = Cell("a/b", "a", "b", "", "")
    assert chart(empty) == ""
    assert heat(empty, 40) is None


def test_heat_shows_who_had_it_when() -> None:
    found = heat(cell(), 50, ascii_only=True)
    assert found is not None
    rows = dict(found.rows)
    assert list(rows) == ["echo-0", "echo-1", "echo-2", "echo-3", "failed"]
    assert rows["echo-0"][0] == "@"
    assert not rows["echo-2"][:19].strip()
    assert rows["echo-2"][25:].strip()
    assert rows["failed"][30:35].strip()
    assert not rows["failed"][:29].strip()
    assert found.marks.index("1") == 10
    assert found.marks.index("2") == 40
    assert all(set(row) <= set(" .:-=+*#@") for row in rows.values())
    wide = heat(cell(), 50)
    assert wide is not None
    assert "█" in dict(wide.rows)["echo-0"]


def test_markdown_has_a_table_per_scenario_and_the_steps() -> None:
    text = dynamic_markdown(dynamic())
    assert "| Path | a new pod's first RPC | new pods that got any | failed | Result |" in text
    assert "| headless | 0.50 s | 2 of 2 | 17 of 500 (3.4 %) | as expected |" in text
    assert "1. 2.0 s: out, done 2.0 s later" in text
    assert "Skipped: Envoy was not found." in text


def test_junit_takes_what_can_not_be_told_for_an_error() -> None:
    suite = ET.fromstring(dynamic_junit(dynamic()).encode())[0]
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    assert len(suite.findall("testcase/failure")) == len(suite.findall("testcase/error")) == 1


def test_the_terminal_shows_answers_and_on_demand_who_had_it_when() -> None:
    def shown(*, verbose: bool) -> str:
        file = io.StringIO()
        print_dynamic(Console(file=file, width=160), dynamic(), verbose=verbose)
        return file.getvalue()

    assert "scale/headless" in shown(verbose=False)
    assert "NOT AS EXPECTED" in shown(verbose=False)
    assert "echo-3" not in shown(verbose=False)
    assert "echo-3" in shown(verbose=True)
    assert shown(verbose=True).isascii()


def test_the_json_form_is_read_back_as_it_was() -> None:
    text = dynamic().to_text()
    assert Dynamic.from_text(text).to_text() == text


def test_exit_codes_tell_the_worst() -> None:
    def of(*cells: Cell) -> int:
        return code(Dynamic({}, list(cells)))

    broken = cell(outcome="failed")
    broken.broken = True
    assert of(cell(), cell(outcome="measured")) == ExitCode.OK
    assert of(cell(), cell(outcome="inconclusive")) == ExitCode.INCONCLUSIVE
    assert of(cell(outcome="inconclusive"), cell(outcome="failed")) == ExitCode.UNMET
    assert of(cell(outcome="failed"), broken) == ExitCode.FAILED
    assert of(cell(outcome="skipped")) == ExitCode.INCONCLUSIVE
    assert code(Dynamic({}, [cell()], end_reason="interrupted")) == ExitCode.INTERRUPTED
