"""What Envoy and gRPC themselves say to all that is made of policies and routes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.mesh.http_routes import ROWS as ROUTES
from tests.mesh.policies import ROWS as POLICIES
from whichpod.manifest.load import load_text
from whichpod.manifest.placement import Locality
from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap, proxyless_bootstrap
from whichpod.mesh.caller import Caller
from whichpod.mesh.outbound import outbound
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.model.errors import LabError

if TYPE_CHECKING:
    from tests.mesh.conftest import Backends, Proxy

SERVICE = """---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: echo}}, ports: [{{name: {port}, port: 80, targetPort: 50051}}]}}
"""
RULE = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}}}
spec:
  host: {name}
  trafficPolicy: {policy}
  subsets: [{{name: a}}]
"""
VIRTUAL = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http:
"""
CALLER = Caller(locality=Locality("west", "1"), labels={"app": "shop"})


def everything(pods: tuple[str, ...] = ("127.0.1.1", "127.0.1.2", "127.0.1.3")) -> Registry:
    """A Service for each row of the tables of policies and of routes."""
    text = SERVICE.format(name="echo", port="grpc") + RULE.format(name="echo", policy="{}")
    # What routes name, so that gRPC doesn't wait for it.
    for name, number in (("b", 80), ("other", 9), ("other, namespace: shop", 9), ("x, namespace: shop", 80)):
        text += SERVICE.format(name=name, port="grpc").replace("port: 80", f"port: {number}")
    for n, row in enumerate(POLICIES):
        text += SERVICE.format(name=f"p{n}", port=row.port) + RULE.format(name=f"p{n}", policy=row.policy)
    for n, (virtual, _) in enumerate(ROUTES):
        policy = "{loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1m}}}}"
        text += SERVICE.format(name=f"v{n}", port="grpc") + RULE.format(name=f"v{n}", policy=policy)
        text += VIRTUAL.format(name=f"v{n}") + "".join(f"  {line}\n" for line in virtual.splitlines())
    regions = ("west", "west", "east")
    endpoints = tuple(
        Endpoint(ip, ip, {"app": "echo"}, region=region, zone="1", meshed=True)
        for ip, region in zip(pods, regions, strict=False)
    )
    return Registry(load_text(text), endpoints)


def test_envoy_takes_all_of_it(envoy: Proxy, address: str) -> None:
    ports = iter(range(20_000, 30_000))
    resources = outbound(everything(), lambda s, p: (address, next(ports)), caller=CALLER)
    assert len(resources.clusters) == 2 * (len(POLICIES) + len(ROUTES)) + 6

    async def run() -> list[object]:
        ads = AdsServer()
        try:
            ads.set("client", resources)
            envoy.start(envoy_bootstrap("client", await ads.start(), f"{address}:15000"))
            await ads.acked("client", 60)
            return list(ads.nacks)
        finally:
            await ads.stop()

    assert asyncio.run(run()) == []
    assert "deprecated" not in envoy.log.lower()


def test_envoy_refuses_what_is_wrong(envoy: Proxy, address: str) -> None:
    """So that the silence above means something."""
    resources = outbound(everything(), lambda s, p: (address, 20_000), caller=CALLER)
    name = next(n for n in resources.clusters if "|p8|" in n or "p8.default" in n)
    resources.clusters[name]["lb_policy"] = "CLUSTER_PROVIDED"

    async def run() -> str:
        ads = AdsServer()
        try:
            ads.set("client", resources)
            envoy.start(envoy_bootstrap("client", await ads.start(), f"{address}:15000"))
            with pytest.raises(LabError, match="refused its Cluster") as caught:
                await ads.acked("client", 60)
            return caught.value.message
        finally:
            await ads.stop()

    assert name in asyncio.run(run())


CLIENT = """
import sys, grpc
channels = [grpc.insecure_channel(f"xds:///{name}.default.svc.cluster.local:80") for name in sys.argv[1:]]
calls = [c.unary_unary("/t.T/Who").future(b"", timeout=60, wait_for_ready=False) for c in channels]
for name, call in zip(sys.argv[1:], calls):
    print(name, call.code().name)
"""


def test_grpc_takes_all_of_it(backends: Backends) -> None:
    resources = proxyless(everything(backends(1)), caller=CALLER)
    # Of policies only hashes and places reach proxyless clients.
    reach = [
        n for n, row in enumerate(POLICIES) if "consistentHash" in row.policy or "locality" in row.policy
    ]
    names = [f"p{n}" for n in reach] + [f"v{n}" for n in range(len(ROUTES))]

    async def run() -> tuple[list[object], dict[str, str]]:
        ads = AdsServer()
        try:
            ads.set("client", resources)
            environ = {"GRPC_XDS_BOOTSTRAP_CONFIG": proxyless_bootstrap("client", await ads.start())}
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, *names, stdout=subprocess.PIPE, env=environ
            )
            out, _ = await process.communicate()
            return list(ads.nacks), dict(line.split() for line in out.decode().splitlines())
        finally:
            await ads.stop()

    nacks, said = asyncio.run(run())
    assert nacks == []
    assert set(said) == set(names)
    assert {code for name, code in said.items() if name.startswith("p")} == {"OK"}
