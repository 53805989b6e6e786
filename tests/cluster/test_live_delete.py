"""A pod of a live lab that is deleted has another one in its place."""

from __future__ import annotations

import asyncio

from tests.cluster.manifests import bundle, deployment
from whichpod.cluster.loopback import LoopbackCluster


def test_a_pod_that_is_deleted_is_replaced_and_ends_once() -> None:
    async def run() -> tuple[list[str], list[str]]:
        async with LoopbackCluster().live(bundle(deployment(replicas=1))) as lab:
            await asyncio.gather(lab.delete("echo-0"), lab.delete("echo-0"))
            await lab.settled()
            return [p.name for p in lab.pods], [e.kind for e in lab.events if e.what == "echo-0"]

    pods, told = asyncio.run(run())
    assert pods == ["echo-1"]
    assert told.count("ending") == told.count("gone") == 1
