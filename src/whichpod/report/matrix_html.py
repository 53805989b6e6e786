"""The matrix as one HTML file: the table, and a card per row with who answered how much."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from whichpod.model.report import Matrix, Row
from whichpod.report.html.page import environment, page, pill, sign, slug, table
from whichpod.report.matrix_table import MARKS, balancing, distribution, summary, why

MOST_BARS = 40
_BAR_HIGH, _BAR_GAP, _LABEL, _WIDE = 16, 5, 130, 640


def matrix_html(matrix: Matrix) -> str:
    """The whole report."""
    return page("gRPC load balancing, measured", _body(matrix))


def _body(matrix: Matrix) -> Iterable[str]:
    yield "<h1>gRPC load balancing, measured</h1>"
    yield f'<p class="soft">{escape(summary(matrix))}</p>'
    counts = [pill(outcome, f"{n} {MARKS[outcome].lower()}") for outcome, n in matrix.outcomes().items() if n]
    yield f'<div class="counts">{"".join(counts)}</div>'
    yield environment(matrix.environment)
    head = ["Configuration", "Balancing", "Servers hit", "Distribution", "Result", "Why"]
    yield table(head, map(_cells, matrix.rows))
    yield f'<div class="cards">{"".join(map(_card, matrix.rows))}</div>'


def _cells(row: Row) -> list[str]:
    hit = f"{row.backends_hit} of {row.backends_known}" if row.backends_known else ""
    return [
        f'<a href="#{slug(row.name)}">{escape(row.name)}</a>',
        escape(balancing(row)),
        f'<span class="num">{hit}</span>',
        f'<span class="num">{escape(distribution(row))}</span>',
        pill(row.outcome, MARKS[row.outcome].lower()),
        escape(why(row)),
    ]


def _card(row: Row) -> str:
    parts = [
        f'<article class="card" id="{slug(row.name)}"><div class="top"><h3>{escape(row.title)}</h3>',
        f"{pill(row.outcome, MARKS[row.outcome].lower())}</div>",
        _bars(row),
    ]
    if row.expectation:
        got = row.verdict.balance if row.verdict else "nothing"
        parts.append(
            f'<ul class="found"><li>{sign(row.outcome)}expected <code>{escape(str(row.expectation))}</code> '
            f'<span class="soft">{escape(got)}</span></li></ul>'
        )
    said = [row.verdict.sentence] if row.verdict else []
    if row.reason:
        said.append(row.reason)
    said.append(row.why)
    parts += [f'<p class="small">{escape(text)}</p>' for text in dict.fromkeys(said) if text]
    if row.guide:
        parts.append(f'<p class="small soft">The guide: {escape(row.guide)}</p>')
    return "".join((*parts, "</article>"))


def _bars(row: Row) -> str:
    """A bar per pod, the share of an even spread marked."""
    if not row.counts:
        return ""
    counts = sorted(row.counts.items())[:MOST_BARS]
    total, most = sum(row.counts.values()) or 1, max(row.counts.values()) or 1
    room = _WIDE - _LABEL - 110
    even = _LABEL + room * (total / len(row.counts)) / most
    high = len(counts) * (_BAR_HIGH + _BAR_GAP)
    parts = [f'<svg viewBox="0 0 {_WIDE} {high}" role="img" aria-label="RPCs per pod of {escape(row.name)}">']
    for i, (label, n) in enumerate(counts):
        y = i * (_BAR_HIGH + _BAR_GAP)
        wide = max(room * n / most, 1 if n else 0)
        text = y + _BAR_HIGH - 4.5
        parts.append(
            f'<text x="{_LABEL - 8}" y="{text:g}" text-anchor="end">{escape(label[:20])}</text>'
            f'<rect x="{_LABEL}" y="{y}" width="{wide:.1f}" height="{_BAR_HIGH}" rx="2" fill="var(--c0)"/>'
            f'<text x="{_LABEL + wide + 6:.1f}" y="{text:g}">{n} ({n / total:.1%})</text>'
        )
    if len(row.counts) > 1 and even < _WIDE - 100:
        parts.append(
            f'<line x1="{even:.1f}" x2="{even:.1f}" y1="0" y2="{high}" stroke="var(--w0)" stroke-width="1.5" '
            'stroke-dasharray="4 3"><title>an even share</title></line>'
        )
    more = len(row.counts) - len(counts)
    note = f'<p class="small soft">and {more} more</p>' if more else ""
    return "".join((*parts, "</svg>", note))
