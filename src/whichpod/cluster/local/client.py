"""Runs a client in a process of the lab's, and brings its report home."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from whichpod.cluster.local.fabric import Standing
from whichpod.cluster.local.images.base import base_environment
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import ERRORS, LabError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.probe.run import Progress

T = TypeVar("T")
STOP_S = 6.0
"""How long a client that was told to stop may take: an RPC that is under way is waited for."""


async def run_client(
    supervisor: Supervisor,
    name: str,
    target: Target,
    plan: Plan,
    standing: Standing,
    progress: Callable[[Progress], None] | None,
) -> Report:
    """The report of a client that runs `plan` against `target`; it ends as `converse` says."""
    tell = (lambda said: progress(from_json(Progress, said))) if progress else None
    payload = {"target": to_json(target), "plan": to_json(plan)}
    return read(Report, "report", await converse(supervisor, name, "client", payload, standing, tell))


async def converse(
    supervisor: Supervisor,
    name: str,
    entry: str,
    payload: Mapping[str, Any],
    standing: Standing,
    progress: Callable[[Any], None] | None,
) -> Mapping[str, Any]:
    """Forks a client, one of `children.ENTRIES`, and returns what it told, by kind; there is a report.

    Cancelled, it lets the client stop in order and returns the report of what there is, with the end
    reason "interrupted"; cancelled again, it kills it. Raises what the client raised; LabError when it
    dies.
    """
    heard: dict[str, Any] = {}
    raised: list[Exception] = []

    def hear(line: str) -> None:
        heard.update(said := json.loads(line))
        if progress and "progress" in said and not raised:
            try:
                progress(said["progress"])
            except Exception as e:  # the caller's: to be raised where the caller waits
                raised.append(e)
                process.signal(signal.SIGTERM)

    process = supervisor.fork(
        name,
        entry,
        payload,
        title="client",
        env={**base_environment(supervisor.folder), **standing.env},
        network=standing.network,
    )
    process.on_line = hear
    try:
        await asyncio.wait({process.exited})
    except asyncio.CancelledError:
        if not await _stopped(process) or "report" not in heard:
            raise
    if raised:
        raise raised[0]
    if "report" in heard:
        return heard
    if "error" in heard:
        error = heard["error"]
        raise ERRORS.get(error["kind"], LabError)(error["message"], fix=error["fix"])
    raise LabError(f"The client {process.how_it_ended()} without a report.{process.wrote()}")


def read(kind: type[T], name: str, heard: Mapping[str, Any]) -> T:
    """What a client told under `name`. Raises LabError where it can't be read."""
    try:
        return from_json(kind, heard[name])
    except (KeyError, ValueError) as e:
        raise LabError(f"The client's {name} can't be read: {e}.") from None


async def _stopped(process: Process) -> bool:
    process.signal(signal.SIGTERM)
    try:
        await asyncio.wait({process.exited}, timeout=STOP_S)
    finally:
        process.signal(signal.SIGKILL)
    return process.exited.done()
