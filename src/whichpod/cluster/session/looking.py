"""Operations that look at a lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.workloads import SIDECAR
from whichpod.cluster.protocol import LabEvent
from whichpod.cluster.session.asked import Follow, Logs, Named, Nothing, Service
from whichpod.cluster.session.desk import Desk, operation
from whichpod.cluster.session.status import status_of
from whichpod.cluster.session.talk import Talk
from whichpod.manifest.kinds import Service as ServiceAsWritten
from whichpod.mesh.brief import config_brief
from whichpod.mesh.counters import cluster_counters, requests_by_pod
from whichpod.mesh.proxyless import remarks
from whichpod.model.codec import to_json
from whichpod.model.errors import LabError, UsageError
from whichpod.model.lab import Compared, EventStatus, SidecarStats

COUNTERS = "/clusters?format=json"
_STATS = r"/stats?format=json&usedonly&filter=^cluster\..*upstream_rq_"
_LAST_EVENTS = 10
_LOOK_S = 0.2
"""How often a log is looked at for more."""
_CHUNK = 1 << 16


@operation("status", Nothing)
async def status(desk: Desk, _asked: Nothing, _talk: Talk) -> object:
    """The lab as it is now."""
    return status_of(desk, await desk.lab(), [told(e) for e in (await desk.lab()).events[-_LAST_EVENTS:]])


@operation("events", Follow)
async def events(desk: Desk, asked: Follow, talk: Talk) -> object:
    """What has happened, and happens."""
    lab = await desk.lab()
    at = max(0, len(lab.events) - asked.last)
    while True:
        for event in lab.events[at:]:
            talk.say(event=to_json(told(event)))
        at = len(lab.events)
        if not asked.on:
            return {}
        await talk.said()
        await lab.events.beyond(at)


@operation("logs", Logs)
async def logs(desk: Desk, asked: Logs, talk: Talk) -> object:
    """What a pod has written, and writes."""
    lab = await desk.lab()
    files = _logs(lab, asked)
    if asked.tail is not None:
        lines = "".join(_text(f) for f in files).splitlines(keepends=True)
        talk.say(text="".join(lines[-asked.tail :] if asked.tail else []))
    async for text in _following(lab, asked, read=asked.tail is None):
        talk.say(text=text)
        await talk.said()
    return {}


@operation("config", Named)
async def config(desk: Desk, asked: Named, _talk: Talk) -> object:
    """What a sidecar got."""
    lab = await desk.lab()
    dump = json.loads(await lab.sidecar(asked.name, "/config_dump?include_eds"))
    return {"brief": to_json(config_brief(dump, owner=asked.name)), "dump": dump}


@operation("stats", Named)
async def stats(desk: Desk, asked: Named, _talk: Talk) -> object:
    """A sidecar's counters, beside what the last probe through it counted."""
    lab = await desk.lab()
    pods = {p.ip: p.name for p in lab.pods}
    counters = cluster_counters(
        await lab.sidecar(asked.name, COUNTERS), await lab.sidecar(asked.name, _STATS), pods
    )
    compared = None
    if last := desk.last.get(asked.name):
        before = requests_by_pod(last.before, pods) if last.before else {}
        after = requests_by_pod(last.after, pods)
        compared = Compared(
            {label: b.done + b.failed for label, b in last.report.tally.by_label().items()},
            {pod: n - before.get(pod, 0) for pod, n in after.items() if n != before.get(pod, 0)},
        )
    return to_json(SidecarStats(asked.name, counters, compared))


@operation("aim", Service)
async def aim(desk: Desk, asked: Service, _talk: Talk) -> object:
    """The number of a port, how many pods are behind it, and what in the manifests an xDS client ignores."""
    lab = await desk.lab()
    if asked.workload:
        workload = lab.bundle.deployment(asked.name)
        ports, pods = workload.ports(), lab.workloads.of(workload)
        number = ports.get(asked.port) or int(asked.port if asked.port.isdigit() else 0)
        number = number or (0 if asked.port else next(iter(workload.tcp_ports()), 0))
        listed = ", ".join(map(str, workload.tcp_ports()))
    else:
        service = _service(lab, asked.name)
        port = service.find_port(asked.port) if asked.port else next(iter(service.ports), None)
        number, listed = port.port if port else 0, ", ".join(str(p.port) for p in service.ports)
        behind = lab.bundle.service(asked.backends) if asked.backends else service
        selected = (p for p in lab.workloads.pods if p.ready)
        pods = [p for p in selected if behind.selects(p.deployment.meta.namespace, p.deployment.pod_labels)]
        if service.headless and behind is service and not pods:
            raise LabError(
                f"No pod of the headless Service {service.meta.name} is ready, so its name has no address.",
                fix="whichpod lab status says what there is, and why it isn't ready.",
            )
    if not number:
        raise UsageError(
            f"{asked.name} has no port {asked.port or 'at all'}.", fix=f"It has {listed or 'none'}."
        )
    notes = [str(note) for note in remarks(lab.registry())] if asked.xds else []
    return {"port": number, "pods": len(pods), "notes": notes}


def _service(lab: LocalLab, name: str) -> ServiceAsWritten:
    try:
        return lab.bundle.service(name)
    except UsageError:
        if any(name in (d.meta.name, f"{d.meta.namespace}/{d.meta.name}") for d in lab.bundle.deployments):
            raise UsageError(
                f"{name} is no Service, it has pods of its own.",
                fix="They are reached past Services with --via endpoints.",
            ) from None
        raise


def told(event: LabEvent) -> EventStatus:
    """An event with the time of the wall clock."""
    ago_s = (time.monotonic_ns() - event.at_ns) / 1e9
    at = datetime.fromtimestamp(time.time() - ago_s).astimezone()
    return EventStatus(at.isoformat(timespec="milliseconds"), event.kind, event.what, event.detail)


def _logs(lab: LocalLab, asked: Logs) -> list[Path]:
    """The files of a pod's containers, those of earlier lives first. Raises UsageError, LabError."""
    pod = lab.workloads.find(asked.pod)
    sidecar = lab.fabric.sidecar(pod)
    if asked.container == SIDECAR and sidecar:
        return [sidecar.log]  # that of all its lives
    names = [c.name for c in pod.deployment.containers]
    if asked.container and asked.container not in names:
        raise UsageError(
            f"The pod {pod.name} has no container {asked.container!r}.", fix=f"It has {', '.join(names)}."
        )
    chosen = [asked.container] if asked.container else names
    found = [(name, p) for name, p in pod.history if name in chosen]
    if asked.previous:
        now = set(map(id, pod.processes.values()))
        found = [(name, p) for name, p in found if id(p) not in now][-len(chosen) :]
        if not found:
            raise UsageError(f"No container of the pod {pod.name} had another life before this one.")
    return [p.log for _, p in found]


async def _following(lab: LocalLab, asked: Logs, *, read: bool) -> AsyncIterator[str]:
    """The texts of a pod's logs as they come, until the pod is gone; `read`: from the beginning."""
    at: dict[Path, int] = {}
    pod = lab.workloads.find(asked.pod)
    while True:
        here = pod in lab.workloads.pods
        for file in _logs(lab, asked) if here else list(at):
            size = 0
            with contextlib.suppress(OSError):
                size = file.stat().st_size
            if file not in at:
                at[file] = 0 if read else size
            while at[file] < size:
                with file.open("rb") as opened:
                    opened.seek(at[file])
                    data = opened.read(_CHUNK)
                at[file] += len(data)
                yield data.decode(errors="replace")
        if not (asked.follow and here):
            return
        read = True  # what comes later is all new
        await asyncio.sleep(_LOOK_S)


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""
