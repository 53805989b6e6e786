"""What a client of a lab is told of its aim."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from whichpod.cluster.session.asked import Service
from whichpod.cluster.session.desk import Desk
from whichpod.cluster.session.looking import aim
from whichpod.cluster.session.talk import Talk
from whichpod.manifest.load import load_text
from whichpod.mesh.registry import Registry

YAML = """\
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{name: grpc, port: 50051}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec: {host: echo, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}
"""


def test_an_xds_client_hears_what_it_ignores() -> None:
    bundle = load_text(YAML, "mine.yaml")
    lab = SimpleNamespace(
        bundle=bundle, workloads=SimpleNamespace(pods=()), registry=lambda: Registry(bundle, ())
    )

    async def lab_of() -> object:
        return lab

    def told(*, xds: bool) -> Any:
        desk = cast(Desk, SimpleNamespace(lab=lab_of))
        return asyncio.run(
            cast(Any, aim(desk, Service("echo", "", workload=False, xds=xds), cast(Talk, None)))
        )

    assert told(xds=False) == {"port": 50051, "pods": 0, "notes": []}
    (note,) = told(xds=True)["notes"]
    assert note.startswith("mine.yaml:9")
    assert "LEAST_REQUEST does not reach proxyless gRPC clients" in note
