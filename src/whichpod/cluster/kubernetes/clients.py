"""Clients that run in a Job's pods: started, followed through their logs, told to end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.connection import FIRST_PAUSE_S, LONGEST_PAUSE_S
from whichpod.cluster.kubernetes.errors import ApiError, UnreachableError
from whichpod.cluster.kubernetes.explained import error_of
from whichpod.cluster.kubernetes.heard import told
from whichpod.cluster.kubernetes.jobs import CONTAINER, GRACE_S
from whichpod.cluster.kubernetes.kinds import EVENT, JOB, POD
from whichpod.cluster.kubernetes.ready import LOOK_S
from whichpod.cluster.kubernetes.result import ResultReader, read_progress
from whichpod.cluster.kubernetes.trouble import pod_trouble, workload_trouble
from whichpod.cluster.kubernetes.watch import watch
from whichpod.model.errors import ClusterError, WhichpodError
from whichpod.model.report import Report

INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation of an indexed Job's pods (kubernetes.io, Jobs)."""
JOB_NAME = "job-name"
"""Label of a Job's pods."""
_GONE = 404
_WAITS = "waits_at"
_KILLED = "Was it killed, or its pod evicted? Its node's events say."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one client."""

    index: int
    """Of an indexed Job's pod; 0 otherwise."""
    pod: str
    report: Report | None = None
    error: WhichpodError | None = None
    """Why there is no report."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """The last that it said of its progress."""


@dataclass(slots=True)
class _Client:
    name: str
    index: int
    pod: Document
    waits: bool = False
    said: dict[str, Any] = field(default_factory=dict)
    task: asyncio.Task[Outcome] | None = None

    @property
    def outcome(self) -> Outcome | None:
        return self.task.result() if self.task and self.task.done() else None


@dataclass(slots=True)
class Clients:
    """One Job's clients. `run` once."""

    api: Api
    job: Document
    meshed: bool
    """Whether its pods must have a sidecar."""
    ready_timeout_s: float
    """Until all of them run."""
    says: Callable[[str], None]
    progress: Callable[[int, dict[str, Any]], None] | None = None
    """Told of each client's progress: its index, and what it said as JSON."""
    _clients: dict[str, _Client] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _ending: bool = False

    async def run(self, at_gate: Callable[[list[str]], Awaitable[None]] | None = None) -> list[Outcome]:
        """Creates the Job and returns what became of its clients, by index, once all of them ended.

        `at_gate` is awaited with the pods' names once all that are alive wait at their gate. Cancelled, it
        tells the pods to end, and returns what they report within their grace. The Job stays; delete it.
        Raises ClusterError where the pods don't come, and what `Api` raises.
        """
        try:
            job = await self.api.create(self.job)
        except asyncio.CancelledError:
            return []
        work = asyncio.create_task(self._all(at_gate))
        try:
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                await self._end(job, work)
            except ClusterError as error:
                raise told(error, (c.said for c in self._clients.values())) from None
            return sorted(filter(None, (c.outcome for c in self._clients.values())), key=lambda o: o.index)
        finally:
            tasks = [c.task for c in self._clients.values() if c.task]
            for task in (work, *tasks):
                task.cancel()
            await asyncio.gather(work, *tasks, return_exceptions=True)

    async def run_one(self) -> Report:
        """As `run`, for a Job of one client: its report. Raises what it failed of, with what it had done; and
        CancelledError where it was told to end before it began, so that there is nothing to report."""
        for outcome in await self.run():
            if outcome.error:
                raise told(outcome.error, [outcome.said])
            if outcome.report:
                return outcome.report
        raise asyncio.CancelledError

    @property
    def _name(self) -> str:
        return str(self.job["metadata"]["name"])

    @property
    def _namespace(self) -> str:
        return str(self.job["metadata"]["namespace"])

    @property
    def _wanted(self) -> int:
        return int(self.job["spec"].get("completions", 1))

    @property
    def _over(self) -> bool:
        return len(self._clients) >= self._wanted and all(c.outcome for c in self._clients.values())

    async def _all(self, at_gate: Callable[[list[str]], Awaitable[None]] | None) -> None:
        """Until all clients ended."""
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._come(at_gate))]
        try:
            # The watch goes on until it fails: what ends a client need not be its pod's last change.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _come(self, at_gate: Callable[[list[str]], Awaitable[None]] | None) -> None:
        """Until all clients run, which has to be soon; then until they ended."""
        deadline = time.monotonic() + self.ready_timeout_s
        look = time.monotonic() + LOOK_S
        while len(started := [c for c in self._clients.values() if c.task]) < self._wanted:
            now = time.monotonic()
            if now > deadline:
                raise await self._late(len(started))
            if now > look:
                look = now + LOOK_S
                await self._look()
            await self._change(min(deadline, look) - now)
        while at_gate:
            alive = [c for c in self._clients.values() if not c.outcome]
            if all(c.waits for c in alive):
                if alive:
                    await self._open(at_gate, [c.name for c in alive])
                break
            await self._change(None)
        while not self._over:
            await self._change(None)

    async def _open(self, at_gate: Callable[[list[str]], Awaitable[None]], names: list[str]) -> None:
        try:
            await at_gate(names)
        except ClusterError:
            # Clients that were lost meanwhile say more than that they can't be told.
            deadline = time.monotonic() + LOOK_S
            while not self._over and time.monotonic() < deadline:
                await self._change(deadline - time.monotonic())
            if not self._over:
                raise

    async def _change(self, within_s: float | None) -> None:
        try:
            async with asyncio.timeout(None if within_s is None else max(within_s, 0.0)):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _look(self) -> None:
        """Raises ClusterError where the Job can't make its pods."""
        events = await self.api.objects(EVENT, self._namespace)
        job = await self.api.get(JOB, self._name, self._namespace)
        trouble = workload_trouble(job, events) if job else None
        if trouble and trouble.final and len(self._clients) < self._wanted:
            raise await error_of(self.api, trouble, self._namespace)

    async def _late(self, started: int) -> ClusterError:
        for client in self._clients.values():
            if not client.task and (trouble := pod_trouble(client.pod, meshed=self.meshed)):
                return await error_of(self.api, trouble, self._namespace)
        return ClusterError(
            f"{self._wanted - started} of {self._wanted} clients did not start within "
            f"{self.ready_timeout_s:g} s.",
            fix=f"See what they wait for: kubectl get pods -n {self._namespace} -l {JOB_NAME}={self._name}",
        )

    async def _watch(self) -> None:
        """Follows the pods."""
        labels = f"{JOB_NAME}={self._name}"
        async for change in watch(self.api, POD, self._namespace, labels=labels):
            await self._take(change.document, gone=change.type == "DELETED")
            self._changed.set()

    async def _take(self, pod: Document, *, gone: bool) -> None:
        metadata = pod["metadata"]
        name = metadata["name"]
        client = self._clients.get(name)
        if client is None:
            index = (metadata.get("annotations") or {}).get(INDEX, "0")
            client = self._clients[name] = _Client(name, int(index) if index.isdigit() else 0, pod)
        client.pod = pod
        if client.task:
            return
        if gone or _phase(pod) in ("Failed", "Succeeded") or "running" in _state(pod) or _ended(pod):
            client.task = asyncio.create_task(self._follow(client))
            client.task.add_done_callback(lambda _: self._changed.set())
            started = sum(c.task is not None for c in self._clients.values())
            self.says(f"{started} of {self._wanted} clients run" if self._wanted > 1 else "the client runs")
        elif not self._ending and (trouble := pod_trouble(pod, meshed=self.meshed)) and trouble.final:
            raise await error_of(self.api, trouble, self._namespace)

    async def _follow(self, client: _Client) -> Outcome:
        """Reads a client's log to its end, again where a connection is lost."""
        reader = ResultReader()
        pause, deadline = FIRST_PAUSE_S, 0.0
        while not reader.complete:
            ended = _ended(client.pod) or _phase(client.pod) in ("Failed", "Succeeded")
            error: ClusterError | None = None
            try:
                async for line in self.api.logs(client.name, self._namespace, CONTAINER, follow=True):
                    deadline, pause = 0.0, FIRST_PAUSE_S
                    reader.take(line)
                    self._hear(client, line)
            except (ApiError, UnreachableError) as e:
                if isinstance(e, ApiError) and e.status == _GONE:
                    break
                error = e
            if reader.complete or (ended and error is None):
                break
            # The container went on, or is only starting, or the connection was lost: from the start again.
            now = time.monotonic()
            deadline = deadline or now + self.api.connection.patience_s
            if now + pause > deadline:
                if error:
                    return Outcome(client.index, client.name, error=error, said=client.said)
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
            try:
                found = await self.api.get(POD, client.name, self._namespace)
            except UnreachableError as e:
                return Outcome(client.index, client.name, error=e, said=client.said)
            if found is None:
                break
            client.pod = found
        return self._conclude(client, reader)

    def _hear(self, client: _Client, line: str) -> None:
        said = read_progress(line)
        if said is None:
            return
        if _WAITS in said:
            client.waits = True
            self._changed.set()
            return
        client.said = said
        if self.progress:
            self.progress(client.index, said)

    def _conclude(self, client: _Client, reader: ResultReader) -> Outcome:
        try:
            return Outcome(client.index, client.name, report=reader.report())
        except WhichpodError as e:
            error = e
        if not reader.complete and (lost := lost_by(client.pod)):
            why, fix = lost
            error = ClusterError(f"The client in pod {client.name} was lost: {why}.", fix=fix)
        return Outcome(client.index, client.name, error=error, said=client.said)

    async def _end(self, job: Document, work: asyncio.Task[None]) -> None:
        """Tells the clients to end, and waits for what they report."""
        self._ending = True
        metadata = job["metadata"]
        try:
            async with asyncio.timeout(GRACE_S):
                # Their logs are followed until the containers end, though the pods are on their way out.
                await self.api.delete(JOB, metadata["name"], metadata["namespace"], uid=metadata["uid"])
                tasks = [c.task for c in self._clients.values() if c.task]
                await asyncio.gather(*tasks, return_exceptions=True)
        except (TimeoutError, ClusterError):
            pass
        work.cancel()


def lost_by(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """What ended a client before it could report, as the pod's status tells, and what to do; None where it
    doesn't tell."""
    status = pod.get("status") or {}
    if status.get("reason"):
        message = " ".join(str(status.get("message") or "").split()).rstrip(".")
        why = str(status["reason"]) + (f" ({message})" if message else "")
        return why, "The cluster ended it, not its work: try again, when the node has what it was short of."
    ended = _ended(pod)
    if not ended:
        if pod["metadata"].get("deletionTimestamp"):
            return "its pod was deleted", "Was its node drained, or did somebody remove it? Try again."
        return None
    reason = ended.get("reason") or "Error"
    if reason == "OOMKilled":
        return (
            "it took more memory than its limit (OOMKilled)",
            "Have it hold less at a time: fewer connections, fewer RPCs in flight, smaller payloads.",
        )
    if ended.get("signal"):
        return f"it was ended by signal {ended['signal']}", _KILLED
    return f"it ended with exit code {ended.get('exitCode', '?')} ({reason})", _KILLED


def _phase(pod: Mapping[str, Any]) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _state(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The client's container's state."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        if container.get("name") == CONTAINER:
            found: Mapping[str, Any] = container.get("state") or {}
            return found
    return {}


def _ended(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _state(pod).get("terminated") or {}
    return found
