"""The matrix as files for machines."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from tests.report.rows import matrix
from whichpod.report.junit import matrix_junit
from whichpod.report.markdown import matrix_markdown


def test_junit_tells_the_outcomes_apart() -> None:
    suite = ET.fromstring(matrix_junit(matrix())).find("testsuite")
    assert suite is not None
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    tags = [[child.tag for child in case] for case in suite.findall("testcase")]
    assert tags == [
        ["system-out"], ["failure", "system-out"], ["skipped", "system-out"], ["error", "system-out"],
    ]  # fmt: skip
    failure = suite.find(".//failure")
    assert failure is not None
    assert failure.get("message") == "bad ? <reason>"


def test_markdown_has_a_line_per_row() -> None:
    text = matrix_markdown(matrix())
    assert "| [clusterip](#clusterip) | not balanced (none) | 1 of 5 | 50/0/0/0/0 | as expected |" in text
    assert "## edge-haproxy" in text
    assert "Skipped: HAProxy was not found." in text


def test_json_is_one_object_with_a_version() -> None:
    data = json.loads(matrix().to_text())
    assert data["schema_version"] == 1
    assert data["environment"]["cluster"] == "loopback"
    row = data["rows"][0]
    assert row.keys() >= {
        "name", "outcome", "backends_known", "backends_hit", "counts", "verdict", "expectation", "duration_s",
    }  # fmt: skip
    assert (row["backends_known"], row["backends_hit"], row["counts"]["echo-0"]) == (5, 1, 50)
