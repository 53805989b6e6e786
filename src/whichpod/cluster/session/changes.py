"""Operations that change a lab."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import replace

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.session.asked import Fault, Kill, Manifests, Named, Nothing, Scale, Switch
from whichpod.cluster.session.desk import Desk, operation
from whichpod.cluster.session.reading import read
from whichpod.cluster.session.talk import Talk
from whichpod.model.errors import UsageError


@operation("apply", Manifests, goes_on=True)
async def apply(desk: Desk, asked: Manifests, _talk: Talk) -> object:
    """Other manifests. Programs for images that were given before stay known, and the engine is the lab's."""
    lab = await desk.lab()
    runs = (*asked.runs, *(r for r in desk.manifests.runs if r.image not in {a.image for a in asked.runs}))
    asked = replace(asked, runs=runs, engine=desk.manifests.engine)
    bundle = read(asked)
    async with desk.changing:
        await lab.apply(bundle)
        desk.manifests = asked
    notes = [str(note) for note in bundle.notes]
    return {"notes": notes, "ready": sum(p.ready for p in lab.pods)}


@operation("scale", Scale, goes_on=True)
async def scale(desk: Desk, asked: Scale, _talk: Talk) -> object:
    """Another number of pods."""
    lab = await desk.lab()
    async with desk.changing:
        await lab.scale(asked.name, asked.replicas)
    return {"ready": sum(p.ready for p in lab.pods if _belongs(lab, asked.name)(p.name))}


@operation("restart", Named, goes_on=True)
async def restart(desk: Desk, asked: Named, _talk: Talk) -> object:
    """A rolling restart."""
    lab = await desk.lab()
    async with desk.changing:
        await lab.restart(asked.name)
    return {"pods": [p.name for p in lab.pods if _belongs(lab, asked.name)(p.name) and not p.ending]}


@operation("delete", Named, goes_on=True)
async def delete(desk: Desk, asked: Named, _talk: Talk) -> object:
    """Ends a pod in order; another one takes its place."""
    lab = await desk.lab()
    before = {p.name for p in lab.pods}
    async with desk.changing:
        await lab.delete(asked.name)
    return {"instead": [p.name for p in lab.pods if p.name not in before]}


@operation("kill", Kill)
async def kill(desk: Desk, asked: Kill, _talk: Talk) -> object:
    """A signal."""
    lab = await desk.lab()
    await lab.kill(asked.pod, asked.signal, asked.container)
    return {}


@operation("fault", Fault)
async def fault(desk: Desk, asked: Fault, _talk: Talk) -> object:
    """Makes pods slow, failing, or well."""
    lab = await desk.lab()
    pods = pods_of(lab, asked.name)
    for pod in pods:
        if asked.faults is not None:
            await lab.fault(pod, {**lab.workloads.find(pod).faults, **asked.faults})
            continue
        if lab.workloads.find(pod).faults:
            await lab.fault(pod, None)
        if lab.workloads.find(pod).stopped:
            await lab.kill(pod, signal.SIGCONT)
    return {"pods": pods}


@operation("switch", Switch)
async def switch(desk: Desk, asked: Switch, _talk: Talk) -> object:
    """Stops the control plane or DNS, or starts it again."""
    lab = await desk.lab()
    if asked.part == "dns":
        await lab.dns(up=asked.up)
    else:
        await lab.control_plane(up=asked.up)
    return {}


@operation("settled", Nothing)
async def settled(desk: Desk, _asked: Nothing, _talk: Talk) -> object:
    """Waits until what was told to end has ended, and all proxies have their configuration."""
    await (await desk.lab()).settled()
    return {}


@operation("down", Nothing)
async def down(desk: Desk, _asked: Nothing, _talk: Talk) -> object:
    """The end of it all. The conversation ends when nothing is left."""
    desk.ended.set()
    await asyncio.Event().wait()
    return {}


def pods_of(lab: LocalLab, name: str) -> list[str]:
    """The pods that a name means: one, those of a workload, or all where it is empty. Raises UsageError."""
    alive = [p for p in lab.pods if not p.ending]
    if not name:
        return [p.name for p in alive]
    if any(p.name == name for p in lab.pods):
        return [name]
    belongs = _belongs(lab, name)
    if found := [p.name for p in alive if belongs(p.name)]:
        return found
    if any(name in (d.meta.name, f"{d.meta.namespace}/{d.meta.name}") for d in lab.bundle.deployments):
        raise UsageError(f"{name} has no pods.")
    known = [d.meta.name for d in lab.bundle.deployments] + [p.name for p in alive]
    raise UsageError(f"There is no pod or workload {name!r}.", fix=f"There are: {', '.join(known)}.")


def _belongs(lab: LocalLab, workload: str) -> Callable[[str], bool]:
    names = {p.name for p in lab.pods if workload in (p.deployment, f"{p.namespace}/{p.deployment}")}
    return names.__contains__
