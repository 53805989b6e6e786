"""The matrix as JUnit XML, which every CI shows: a test case per row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from whichpod.model.report import Matrix
from whichpod.report.matrix_table import balancing, distribution, summary

# Characters that XML 1.0 can't hold, escaped or not (section 2.2).
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


TAGS = {"failed": "failure", "inconclusive": "error", "skipped": "skipped"}
"""JUnit's words for what did not pass."""


def matrix_junit(matrix: Matrix) -> str:
    """JUnit's XML. An inconclusive row is an error: CI must not take it for a pass."""
    suite = suite_of(
        "whichpod matrix", len(matrix.rows), matrix.outcomes(), matrix.duration_s, matrix.environment
    )
    for row in matrix.rows:
        case = ET.SubElement(
            suite, "testcase", classname="whichpod.matrix", name=row.name, time=f"{row.duration_s:.3f}"
        )
        if tag := TAGS.get(row.outcome):
            ET.SubElement(case, tag, message=clean(row.reason))
        said = [balancing(row), distribution(row), row.verdict.sentence if row.verdict else "", row.why]
        ET.SubElement(case, "system-out").text = clean("\n".join(filter(None, said)))
    return document(suite, summary(matrix))


def suite_of(
    name: str,
    tests: int,
    counts: Mapping[Any, int],
    duration_s: float,
    environment: Mapping[str, str],
) -> ET.Element:
    """A test suite without its cases; `counts` are those per outcome."""
    suite = ET.Element(
        "testsuite",
        name=name,
        tests=str(tests),
        failures=str(counts["failed"]),
        errors=str(counts["inconclusive"]),
        skipped=str(counts["skipped"]),
        time=f"{duration_s:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in environment.items():
        ET.SubElement(properties, "property", name=clean(key), value=clean(value))
    return suite


def document(suite: ET.Element, name: str) -> str:
    """The whole file."""
    suites = ET.Element("testsuites", name=clean(name))
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def clean(text: str) -> str:
    """Text without what XML can't hold."""
    return _NOT_XML.sub("?", text)
