"""Scenarios in time as JUnit XML, which every CI shows: a test case per cell."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from whichpod.model.dynamic import Dynamic
from whichpod.report.dynamic_words import said, step_line, summary
from whichpod.report.junit import TAGS, clean, document, suite_of


def dynamic_junit(result: Dynamic) -> str:
    """JUnit's XML. An inconclusive cell is an error: CI must not take it for a pass."""
    suite = suite_of(
        "whichpod matrix --dynamic",
        len(result.cells),
        result.outcomes(),
        result.duration_s,
        result.environment,
    )
    for cell in result.cells:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"whichpod.dynamic.{cell.scenario}",
            name=cell.name,
            time=f"{cell.duration_s:.3f}",
        )
        if tag := TAGS.get(cell.outcome):
            ET.SubElement(case, tag, message=clean(cell.reason))
        lines = [cell.path_title, *(f"{q}: {a}" for q, a in said(cell))]
        lines += [step_line(step, cell) for step in cell.steps] + [cell.because]
        ET.SubElement(case, "system-out").text = clean("\n".join(filter(None, lines)))
    return document(suite, summary(result))
