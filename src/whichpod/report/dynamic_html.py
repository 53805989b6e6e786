"""Scenarios in time as one HTML file: an overview, and per cell who had the load when."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from whichpod.model.dynamic import Cell, Dynamic
from whichpod.report.dynamic_words import MARKS, by_scenario, notable, said, seconds, step_line, summary
from whichpod.report.html.chart import chart
from whichpod.report.html.page import SIGNS, environment, page, pill, sign, slug, table


def dynamic_html(result: Dynamic) -> str:
    """The whole report."""
    return page("gRPC load balancing over time", _body(result))


def _body(result: Dynamic) -> Iterable[str]:
    yield "<h1>gRPC load balancing over time</h1>"
    yield f'<p class="soft">{escape(summary(result))} {escape(_when(result))}</p>'
    counts = [pill(outcome, f"{n} {MARKS[outcome].lower()}") for outcome, n in result.outcomes().items() if n]
    yield f'<div class="counts">{"".join(counts)}</div>'
    yield environment(result.environment)
    yield _overview(result)
    for name, cells in by_scenario(result).items():
        yield f'<h2 id="{slug(name)}">{escape(cells[0].title)}</h2>'
        yield f"<p class=soft>{escape(cells[0].why)}</p>" if cells[0].why else ""
        yield _answers(cells)
        yield f'<div class="cards">{"".join(map(_card, cells))}</div>'


def _when(result: Dynamic) -> str:
    return f"{result.started_at}, {result.at_once} at a time." if result.started_at else ""


def _overview(result: Dynamic) -> str:
    """A row per scenario, a column per path; variants of a path stand together."""
    paths = list(dict.fromkeys(cell.path for cell in result.cells))
    rows = []
    for name, cells in by_scenario(result).items():
        row = [f'<a href="#{slug(name)}">{escape(cells[0].title)}</a>']
        for path in paths:
            here = [c for c in cells if c.path == path]
            pills = [
                pill(c.outcome, _variant(c), f"#{slug(c.name)}", f"{c.path_title}: {MARKS[c.outcome]}")
                for c in here
            ]
            row.append(" ".join(pills))
        rows.append(row)
    return table(["Scenario", *paths], rows)


def _variant(cell: Cell) -> str:
    own = cell.name.partition("/")[2]
    if own == cell.path:
        return MARKS[cell.outcome].lower()
    return f"{SIGNS[cell.outcome]} {own.removeprefix(f'{cell.path}-')}"


def _answers(cells: list[Cell]) -> str:
    questions = list(dict.fromkeys(q for c in cells for q, _ in said(c)))
    rows = []
    for cell in cells:
        answers = dict(said(cell))
        rows.append(
            [
                f'<a href="#{slug(cell.name)}">{escape(cell.path_title)}</a>',
                pill(cell.outcome, MARKS[cell.outcome].lower()),
                *(f'<span class="num">{_held(answers.get(q, ""))}</span>' for q in questions),
            ]
        )
    return table(["Path", "Result", *questions], rows)


def _held(text: str) -> str:
    """Text whose numbers stay with their units."""
    return escape(text).replace(" %", "&nbsp;%").replace(" ms", "&nbsp;ms").replace(" s", "&nbsp;s")


def _card(cell: Cell) -> str:
    mark = pill(cell.outcome, MARKS[cell.outcome].lower())
    parts = [
        f'<article class="card" id="{slug(cell.name)}">',
        f'<div class="top"><h3>{escape(cell.path_title)}</h3>{mark}</div>',
        chart(cell),
    ]
    if cell.steps:
        steps = "".join(f"<li>{escape(step_line(s, cell))}{_remark(s.remark)}</li>" for s in cell.steps)
        parts.append(f'<ol class="steps">{steps}</ol>')
    if cell.findings:
        found = "".join(
            f"<li>{sign(f.outcome)}<code>{escape(f.text)}</code> "
            f"<span class=soft>{escape(f.measured)}</span></li>"
            for f in cell.findings
        )
        parts.append(f'<ul class="found">{found}</ul>')
    if cell.reason and not cell.reason.startswith("Expected "):  # which the findings say
        parts.append(f'<p class="small {cell.outcome}">{escape(cell.reason)}</p>')
    if cell.because:
        parts.append(f'<p class="small">{escape(cell.because)}</p>')
    parts.append(_more(cell))
    parts.append("</article>")
    return "".join(parts)


def _remark(text: str) -> str:
    return f' <span class="soft">({escape(text)})</span>' if text else ""


def _more(cell: Cell) -> str:
    """The answers and what happened to pods, folded away."""
    items = "".join(f"<dt>{escape(q)}</dt><dd>{escape(a)}</dd>" for q, a in said(cell))
    events = [
        f"<dt>{seconds(e.at_ns, cell):.2f} s</dt><dd>{escape(f'{e.what} {e.kind} {e.detail}')}</dd>"
        for e in cell.events
        if notable(e) and seconds(e.at_ns, cell) > 0
    ]
    statuses: dict[str, int] = {}
    for report in cell.reports:
        for status, n in report.tally.statuses.items():
            statuses[status] = statuses.get(status, 0) + n
    items += "".join(f"<dt>{escape(s)}</dt><dd>{n} RPCs</dd>" for s, n in sorted(statuses.items()))
    errors = [r.evidence.first_error for r in cell.reports if r.evidence.first_error]
    if errors:
        items += f"<dt>first error</dt><dd>{escape(errors[0])}</dd>"
    if not items and not events:
        return ""
    return f"<details><summary>More</summary><dl>{items}{''.join(events)}</dl></details>"
