"""Keeps one container of a pod running, and knows whether it is ready: a kubelet's work on it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from whichpod.cluster.local import readiness
from whichpod.cluster.local.kubelet import Kubelet
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.local.readiness import NotReadyError
from whichpod.cluster.local.supervisor import Process
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, Probe
from whichpod.model.errors import WhichpodError

FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S, FORGIVEN_AFTER_S = 10.0, 300.0, 600.0
"""A container's first restart comes at once, the second after 10 s, each further one after twice as long; one
that has run for ten minutes begins anew (kubernetes.io, Pod Lifecycle, container restart policy)."""
_ASSUMED_READY_S = 2.0
"""How long a port of a container without a probe is awaited."""


def back_off(restarts: int) -> float:
    """Seconds to wait before a container is started again that was so often before."""
    return min(FIRST_BACK_OFF_S * 2 ** (restarts - 1), LONGEST_BACK_OFF_S) if restarts else 0.0


class Keeper:
    """Keeps a container running until `stop`. `changed` is called whenever what is said here has changed."""

    def __init__(
        self,
        kubelet: Kubelet,
        pod: Pod,
        container: Container,
        bundle: Callable[[], Bundle],
        *,
        live: bool,
        tell: Callable[[str, str], None],
        changed: Callable[[], None],
    ) -> None:
        """`live`: it is started anew when it ends, and probed for as long as it runs; else it is started once
        and probed until it is ready."""
        self.container = container
        self.ready = False
        self.started = asyncio.Event()
        """Set while its startup probe has succeeded; without one, while it runs."""
        self.waiting = False
        """Whether it ended too often, and is not started again for a while."""
        self.reason = "it is starting"
        """Why it isn't ready."""
        self.early_ends = 0
        """How often it has ended before it ever was ready."""
        self.failed: WhichpodError | None = None
        """Why it can't be started at all."""
        self._kubelet = kubelet
        self._pod = pod
        self._bundle = bundle
        self._live = live
        self._tell = tell
        self._changed = changed
        self._was_ready = False
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Keeps it no longer; it goes on if it runs."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        restarts = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                process = self._kubelet.start(self._pod, self.container, self._bundle())
            except WhichpodError as error:
                self.failed, self.reason = error, error.message
                self._changed()
                return
            why = await self._until_ended(process)
            self.early_ends += not self._was_ready
            how = f"The {process.title} {process.how_it_ended()}{f', since {why}' if why else ''}"
            self._say(ready=False, reason=f"{how}.")
            self.started.clear()
            self._tell("died", f"{process.how_it_ended()}{f': {why}' if why else ''}")
            if not self._live:
                return
            restarts = 0 if loop.time() - began > FORGIVEN_AFTER_S else restarts
            if pause_s := back_off(restarts):
                self.waiting = True
                self._say(ready=False, reason=f"{how}; it is started again {pause_s:g} s later.")
                await asyncio.sleep(pause_s)
                self.waiting = False
            restarts += 1
            self._pod.restarts += 1
            self._tell("restarted", self.container.name)

    def _say(self, *, ready: bool, reason: str = "") -> None:
        self.ready, self.reason = ready, reason
        self._was_ready |= ready
        self._changed()

    async def _until_ended(self, process: Process) -> str:
        """Probes until it ends; says why it was ended, where a probe was the reason."""
        probing = asyncio.create_task(self._probe(process))
        both: set[asyncio.Future[Any]] = {process.exited, probing}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if process.exited.done():
                return ""
            why = probing.result()
            await self._end(process, why)
            return why
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _end(self, process: Process, why: str) -> None:
        probe = self.container.liveness or self.container.startup
        grace_s = self._pod.deployment.termination_grace_s
        if probe and probe.grace_s is not None:
            grace_s = probe.grace_s
        self._say(ready=False, reason=f"The {process.title} is ended, since {why}.")
        process.signal(signal.SIGTERM)
        await asyncio.wait({process.exited}, timeout=grace_s)
        process.signal(signal.SIGKILL, all_of_it=True)
        await asyncio.wait({process.exited})

    async def _probe(self, process: Process) -> str:
        """Ends with why the container has to end; without a liveness probe it goes on."""
        startup, liveness = self.container.startup, self.container.liveness
        await process.begun.wait()
        if startup:
            within_s = startup.initial_delay_s + startup.period_s * startup.failure_threshold
            if why := await self._until_well(startup, within_s):
                return f"its startup probe failed for {within_s:g} s: {why}"
        self.started.set()
        self._changed()
        watching = asyncio.create_task(self._readiness())
        try:
            if liveness and self._live:
                return await self._liveness(liveness)
            await watching
            await asyncio.Event().wait()
            raise AssertionError
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _readiness(self) -> None:
        """Says whether it is ready, as its probe says; without one, once its ports are open."""
        probe = self.container.readiness
        if probe is None:
            for check in readiness.assumed(self.container):
                limit_s = self._kubelet.timeout_s if self.container.local else _ASSUMED_READY_S
                if (why := await self._until_well(Probe(check), limit_s)) and self.container.local:
                    self._say(ready=False, reason=self._asked(check, why))
                    await self._until_well(Probe(check), float("inf"))
            self._say(ready=True)
            return
        await self._until_well(probe, float("inf"))
        self._say(ready=True)
        while self._live:
            await asyncio.sleep(probe.period_s)
            if why := await self._failing(probe):
                self._say(ready=False, reason=self._asked(probe.check, why))
                await self._until_well(probe, float("inf"), pause_s=probe.period_s)
                self._say(ready=True)

    async def _until_well(self, probe: Probe, within_s: float, pause_s: float = 0.0) -> str:
        """Asks until it was well often enough in a row; returns what was wrong last where that took too long.

        First in quick succession, so that nobody waits for whole seconds; then every period. `pause_s`: that
        far apart from the beginning.
        """
        loop = asyncio.get_running_loop()
        began, well, why = loop.time(), 0, ""
        pause = pause_s or readiness.FIRST_PAUSE_S
        while True:
            found = await self._asked_once(probe)
            well = 0 if found else well + 1
            if well >= probe.success_threshold:
                return ""
            if found != why and found:
                why = found
                self._say(ready=False, reason=self._asked(probe.check, why))
            passed = loop.time() - began
            if passed + pause > within_s:
                return why
            await asyncio.sleep(pause)
            quick = min(pause * 1.5, readiness.LONGEST_PAUSE_S)
            pause = pause_s or (quick if passed < self._kubelet.timeout_s else probe.period_s)

    async def _failing(self, probe: Probe) -> str:
        """What was wrong, where it was often enough in a row; else nothing."""
        why = ""
        for turn in range(probe.failure_threshold):
            if turn:
                await asyncio.sleep(probe.period_s)
            await self._kubelet.pace.turn()
            why = await self._asked_once(probe)
            if not why:
                return ""
        return why

    async def _liveness(self, probe: Probe) -> str:
        await asyncio.sleep(probe.initial_delay_s)
        while True:
            await asyncio.sleep(probe.period_s)
            if why := await self._failing(probe):
                times = f"{probe.failure_threshold} times" if probe.failure_threshold > 1 else "once"
                return f"its liveness probe failed {times}: {why}"

    async def _asked_once(self, probe: Probe) -> str:
        """What is wrong with it; nothing where it is well."""
        try:
            await self._kubelet.attempt(
                self._pod, self.container, probe.check, self._bundle(), probe.timeout_s
            )
        except NotReadyError as error:
            return str(error)
        return ""

    def _asked(self, check: readiness.Check, why: str) -> str:
        process = self._pod.processes[self.container.name]
        return f"The {process.title} was asked for {readiness.describe(check)}: {why}."
