"""Operations that run something in a lab, for as long as the command that asks for it is there."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial
from pathlib import Path

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.programs import Command
from whichpod.cluster.local.proxies import CLIENT
from whichpod.cluster.local.relay import Relay
from whichpod.cluster.local.supervisor import Process
from whichpod.cluster.session.asked import Forward, Probe, Program
from whichpod.cluster.session.desk import Desk, LastRun, operation
from whichpod.cluster.session.looking import COUNTERS
from whichpod.cluster.session.talk import Talk
from whichpod.model.codec import to_json
from whichpod.model.errors import LabError, UsageError

_HANG_UP_S = 2.0
"""How long a program may take to end when the command that ran it is gone."""


@operation("exec", Program)
async def exec_(desk: Desk, asked: Program, talk: Talk) -> object:
    """A program of the user's, where a pod or a client stands."""
    lab = await desk.lab()
    if len(talk.descriptors) != 3:
        raise UsageError("A program needs its stdin, stdout and stderr.")
    command = Command(asked.argv, asked.env, Path(asked.folder), tuple(talk.descriptors), asked.terminal)
    process = await lab.exec(command, pod=asked.pod, meshed=asked.meshed)
    talk.drop_descriptors()
    talk.on_signal = partial(process.signal, all_of_it=True)
    for number in talk.early_signals:
        talk.on_signal(number)
    try:
        await asyncio.wait({process.exited})
    except asyncio.CancelledError:
        await _hung_up(process)
        raise
    return {"code": process.exited.result()}


async def _hung_up(process: Process) -> None:
    process.signal(signal.SIGHUP, all_of_it=True)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait({process.exited}, timeout=_HANG_UP_S)
    process.signal(signal.SIGKILL, all_of_it=True)


@operation("probe", Probe)
async def probe(desk: Desk, asked: Probe, talk: Talk) -> object:
    """RPCs on real channels."""
    lab = await desk.lab()
    before = await _counters(lab, asked)
    report = await lab.probe(asked.client, asked.plan, progress=lambda p: talk.tell(progress=to_json(p)))
    if asked.client.meshed:
        desk.last[CLIENT] = LastRun(report, before, await _counters(lab, asked))
    return to_json(report)


@operation("bench", Probe)
async def bench(desk: Desk, asked: Probe, talk: Talk) -> object:
    """Load."""
    lab = await desk.lab()
    before = await _counters(lab, asked)
    run = await lab.bench(asked.client, asked.plan, progress=lambda p: talk.tell(progress=to_json(p)))
    if asked.client.meshed:
        desk.last[CLIENT] = LastRun(run.report, before, await _counters(lab, asked))
    return {"report": to_json(run.report), "usage": to_json(run.usage)}


async def _counters(lab: LocalLab, asked: Probe) -> bytes:
    """What the client's sidecar has counted; nothing where it has none."""
    return await lab.sidecar(CLIENT, COUNTERS) if asked.client.meshed else b""


@operation("port-forward", Forward)
async def forward(desk: Desk, asked: Forward, talk: Talk) -> object:
    """A port of this machine that leads into one pod, as kubectl's does, until the pod is gone."""
    lab = await desk.lab()
    pod, number = _aim(lab, asked)
    relay = Relay(lambda: lab.fabric.enter(pod, number))
    address = await relay.start(host=asked.address, port=asked.local)
    try:
        talk.say(listening={"address": address, "pod": pod.name, "port": number})
        while pod in lab.workloads.pods:
            await lab.events.beyond(len(lab.events))
    finally:
        await relay.stop()
    raise LabError(
        f"The pod {pod.name}, to which the port was forwarded, is gone.",
        fix="Forward it again: it goes to another pod then. kubectl's port-forward ends likewise.",
    )


def _aim(lab: LocalLab, asked: Forward) -> tuple[Pod, int]:
    """The pod, and its port. Raises LabError, UsageError."""
    kind, _, name = asked.name.rpartition("/")
    pods = {p.name: p for p in lab.workloads.pods if not p.ending}
    if kind in ("pod", "pods", "po") or (kind not in ("service", "services", "svc") and asked.name in pods):
        pod = lab.workloads.find(name)
        named = pod.deployment.ports()
        if asked.port in named:
            return pod, named[asked.port]
        if asked.port.isdigit():
            return pod, int(asked.port)
        raise UsageError(
            f"The pod {pod.name} has no port called {asked.port!r}.",
            fix=f"It has {', '.join(named) or 'none'}.",
        )
    service = lab.bundle.service(name if kind in ("service", "services", "svc") else asked.name)
    port = service.find_port(asked.port)
    if port is None:
        listed = ", ".join(str(p.port) for p in service.ports)
        raise UsageError(
            f"The Service {service.meta.name} has no port {asked.port}.", fix=f"It has {listed}."
        )
    behind = lab.registry().behind(service, port)
    if not behind:
        raise LabError(f"No pod of the Service {service.meta.name} is ready, so none can be forwarded to.")
    endpoint, number = behind[0]
    return pods[endpoint.pod], number
