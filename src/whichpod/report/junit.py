"""The matrix as JUnit XML, which every CI shows: a test case per row."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from whichpod.model.report import Matrix
from whichpod.report.matrix_table import balancing, distribution, summary

# Characters that XML 1.0 can't hold, escaped or not (section 2.2).
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def matrix_junit(matrix: Matrix) -> str:
    """JUnit's XML. An inconclusive row is an error: CI must not take it for a pass."""
    counts = matrix.outcomes()
    suite = ET.Element(
        "testsuite",
        name="whichpod matrix",
        tests=str(len(matrix.rows)),
        failures=str(counts["failed"]),
        errors=str(counts["inconclusive"]),
        skipped=str(counts["skipped"]),
        time=f"{matrix.duration_s:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in matrix.environment.items():
        ET.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    for row in matrix.rows:
        case = ET.SubElement(
            suite, "testcase", classname="whichpod.matrix", name=row.name, time=f"{row.duration_s:.3f}"
        )
        tag = {"failed": "failure", "inconclusive": "error", "skipped": "skipped"}.get(row.outcome)
        if tag:
            ET.SubElement(case, tag, message=_clean(row.reason))
        said = [balancing(row), distribution(row), row.verdict.sentence if row.verdict else "", row.why]
        ET.SubElement(case, "system-out").text = _clean("\n".join(filter(None, said)))
    suites = ET.Element("testsuites", name=_clean(summary(matrix)))
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
