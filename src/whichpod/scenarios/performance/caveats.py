"""What a reader must know of the table, a sentence each."""

from __future__ import annotations

from whichpod.model.performance import Performance
from whichpod.scenarios.performance.guide import Guide
from whichpod.scenarios.performance.rows import DIRECT

DISTURBED_CORES = 0.15
"""Cores that others may use before it is worth a word."""


def caveats(table: Performance, guide: Guide) -> tuple[str, ...]:
    """Those that hold for this run."""
    found = []
    cpus = table.environment.get("cpus", "")
    if table.environment.get("cluster") == "loopback":
        found.append(
            f"Client, proxies and servers share this machine's {cpus} cores: a row that spends more CPU per "
            "RPC has fewer RPCs per second for that reason alone. Hold the rows against one another; RPCs "
            "per second say nothing of other machines."
        )
        found.append("Loopback has no network: what is added is the proxies' own time, not that of a wire.")
    found.append(
        "CPU per RPC depends on how many come at a time. At saturation direct's come in the largest batches, "
        "and what passes a proxy comes nearly one by one; at the low rate every RPC comes alone, in all rows."
    )
    if table.settings.engine == "grpcio":
        found.append(
            "The pods' servers are grpcio's, which cost more per RPC than most proxies: they are a part of "
            "every row's limit."
        )
    direct = next((r for r in table.rows if r.name == DIRECT), None)
    if direct is None or direct.figures is None:
        found.append("Direct was not measured, so nothing could be held against it.")
    if table.settings.repetitions == 1:
        found.append("One repetition has no range: differences may be chance.")
    disturbed = [
        r.figures.elsewhere_cores.median
        for r in table.rows
        if r.figures and r.figures.elsewhere_cores.median > DISTURBED_CORES
    ]
    if disturbed:
        found.append(
            f"Other processes of this machine used up to {max(disturbed):.1f} cores meanwhile, so the "
            "figures are worse than on an idle one."
        )
    failed = [f"{r.name} {r.figures.failed}" for r in table.rows if r.figures and r.figures.failed]
    if failed:
        found.append(f"RPCs that failed or were not sent: {', '.join(failed)}.")
    found.append(guide.caveat)
    return tuple(found)
