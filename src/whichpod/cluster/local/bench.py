"""Runs the load engine in a process of the lab's, and measures what the lab's processes use meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from whichpod.cluster.local.client import converse, read
from whichpod.cluster.local.fabric import Standing
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.local.usage import Watched
from whichpod.cluster.protocol import LoadRun
from whichpod.load.progress import LoadProgress
from whichpod.model.codec import from_json, to_json
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.model.usage import Usage


async def run_bench(
    supervisor: Supervisor,
    name: str,
    target: Target,
    plan: Plan,
    standing: Standing,
    watched: Iterable[Watched],
    progress: Callable[[LoadProgress], None] | None,
) -> LoadRun:
    """The report of a load client that runs `plan`, and what `watched` and the client itself used.

    It ends as `client.converse` says.
    """
    tell = (lambda said: progress(from_json(LoadProgress, said))) if progress else None
    payload = {"target": to_json(target), "plan": to_json(plan), "watched": [to_json(w) for w in watched]}
    heard = await converse(supervisor, name, "bench", payload, standing, tell)
    return LoadRun(read(Report, "report", heard), read(Usage, "usage", heard))
