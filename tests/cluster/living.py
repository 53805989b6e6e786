"""Live labs for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.cluster.conftest import eventually
from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.local.pods import Pod
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client, PodInfo
from whichpod.manifest.bundle import Bundle
from whichpod.model.plan import Plan

T = TypeVar("T")
QUICK = "readinessProbe: {grpc: {port: 50051}, periodSeconds: 1, failureThreshold: 1}"
EVENLY = Plan(requests=30, policy="round_robin", warmup=1)


class Living:
    """A live lab with the loop that it runs in."""

    def __init__(self, runner: asyncio.Runner, lab: LocalLab) -> None:
        self.lab = lab
        self._runner = runner

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(job)

    def until(self, holds: Any, what: str, within_s: float = 20) -> None:
        self.run(eventually(holds, what, within_s))

    def pod(self, name: str) -> Pod:
        return self.lab.workloads.find(name)

    @property
    def ready(self) -> list[str]:
        return [p.name for p in self.lab.pods if p.ready]

    @property
    def pods(self) -> dict[str, PodInfo]:
        return {p.name: p for p in self.lab.pods}

    def happened(self, *kinds: str, to: str) -> list[str]:
        """The kinds of what happened to a pod, of those that are asked for."""
        return [e.kind for e in self.lab.events if e.what == to and e.kind in kinds]

    def counts(self, client: Client, plan: Plan = EVENLY) -> dict[str, int]:
        report = self.run(self.lab.probe(client, plan))
        assert report.tally.failed == 0, report.evidence.first_error
        return {label: b.done for label, b in report.tally.by_label().items()}


@contextmanager
def living(what: Bundle, *clients: Client, timeout_s: float = 30) -> Iterator[Living]:
    with asyncio.Runner() as runner:
        context = LoopbackCluster().live(what, clients=clients, ready_timeout_s=timeout_s)
        lab = runner.run(context.__aenter__())
        try:
            yield Living(runner, lab)
        finally:
            runner.run(context.__aexit__(None, None, None))
