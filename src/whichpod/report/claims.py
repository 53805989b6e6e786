"""What became of claims, for a terminal and as Markdown."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from whichpod.model.claims import Claims, Ruling
from whichpod.report.bench_rows import many

STYLES = {
    Ruling.CONFIRMED: "bold green",
    Ruling.REFUTED: "bold red",
    Ruling.DEPENDS: "bold yellow",
    Ruling.UNSETTLED: "dim",
}


def print_claims(console: Console, found: Claims, *, verbose: bool = False) -> None:
    """Writes each claim with its ruling and the numbers; with `verbose`, what was run for it."""
    for result in found.results:
        console.print(
            Text.assemble((f"{result.ruling.upper():<10}", STYLES[result.ruling]), (result.claim, "bold"))
        )
        console.print(Text(f"          {result.said}"))
        if verbose:
            console.print(Text(f"          told by {result.told_by}; --only {result.name}", "dim"))
            for item in result.exhibits:
                console.print(Text(f"          {item.name}: {item.title}: {item.said}", "dim"))
        console.print()
    console.print(summary(found))


def summary(found: Claims) -> str:
    """One line: how many claims came to what."""
    parts = [f"{n} {ruling}" for ruling, n in found.rulings().items() if n]
    ended = " (interrupted)" if found.end_reason == "interrupted" else ""
    ran = many(len(found.results), "claim")
    return f"{ran} in {found.duration_s:.0f} s{ended}: {', '.join(parts) or 'none'}."


def claims_markdown(found: Claims) -> str:
    """A heading, what it ran on, and a section per claim."""
    lines = ["# Claims, measured", "", summary(found), ""]
    lines += [f"- {name}: {value}" for name, value in found.environment.items()]
    lines += ["", "| Claim | Ruling |", "|---|---|"]
    lines += [f"| [{_cell(r.claim)}](#{r.name}) | {r.ruling} |" for r in found.results]
    for r in found.results:
        lines += ["", f'<a id="{r.name}"></a>', "", f"## {r.claim}", ""]
        lines += [f"**{r.ruling.capitalize()}.** {r.said}", "", f"Told by {r.told_by}. What was run:", ""]
        lines += [f"- `{item.name}`, {item.title}: {item.said}" for item in r.exhibits] or ["- nothing"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
