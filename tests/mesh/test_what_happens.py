"""What a real Envoy does with routes and places: each RPC is answered, or ends, as the YAML says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

from whichpod.manifest.placement import Locality
from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap
from whichpod.mesh.caller import Caller
from whichpod.mesh.outbound import outbound
from whichpod.mesh.registry import Endpoint, Registry

if TYPE_CHECKING:
    from tests.mesh.conftest import Backends, Make, Proxy

PORT = 10_080
CLIENT = """
import json, sys, grpc
target, calls = sys.argv[1], json.loads(sys.argv[2])
with grpc.insecure_channel(target) as channel:
    for method, header, count in calls:
        call = channel.unary_unary(method)
        found = []
        for _ in range(count):
            try:
                metadata = [(header, "1")] if header else []
                answer = call(b"", timeout=10, wait_for_ready=True, metadata=metadata)
                found.append(answer.decode().split()[0])
            except grpc.RpcError as e:
                found.append(e.code().name)
        print(json.dumps(found), flush=True)
"""
Call = tuple[str, str, int]
WHO = "/t.T/Who"


async def through(
    envoy: Proxy, address: str, registry: Registry, caller: Caller, calls: list[Call]
) -> list[list[str]]:
    ads = AdsServer()
    try:
        ads.set("client", outbound(registry, lambda s, p: (address, PORT + p.port), caller=caller))
        envoy.start(envoy_bootstrap("client", await ads.start(), f"{address}:15000"))
        await ads.acked("client", 30)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, f"ipv4:{address}:{PORT + 80}", json.dumps(calls),
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        return [json.loads(line) for line in out.decode().splitlines()]
    finally:
        await ads.stop()


def pods(addresses: tuple[str, ...], *regions: str) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(a, a, {"app": "echo", "version": f"v{n}"}, {"main": 50051}, region=region)
        for n, (a, region) in enumerate(zip(addresses, regions or ("",) * 3, strict=False), 1)
    )


ROUTES = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
  - match: [{headers: {x-abort: {}}}]
    fault: {abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: {value: 100}}}
    route: [{destination: {host: echo}}]
  - match: [{uri: {exact: /old.T/Who}}]
    rewrite: {uri: /t.T/Who}
    route: [{destination: {host: echo, subset: v1}}]
  - match: [{headers: {x-canary: {}}}]
    route: [{destination: {host: echo, subset: v3}}]
  - route:
    - {destination: {host: echo, subset: v1}, weight: 90}
    - {destination: {host: echo, subset: v2}, weight: 10}
"""
SUBSETS = (
    "\n  subsets: [" + ", ".join(f"{{name: v{n}, labels: {{version: v{n}}}}}" for n in (1, 2, 3)) + "]\n"
)


def test_routes(make: Make, envoy: Proxy, address: str, backends: Backends) -> None:
    one, two, three = addresses = backends(3)
    registry = Registry(
        make("{loadBalancer: {simple: ROUND_ROBIN}}" + SUBSETS, more=ROUTES).bundle, pods(addresses)
    )
    calls: list[Call] = [
        (WHO, "x-abort", 2),
        ("/old.T/Who", "", 2),
        (WHO, "x-canary", 3),
        (WHO, "", 300),
        ("/t.T/None", "", 1),
    ]
    aborted, old, canary, weighted, unknown = asyncio.run(through(envoy, address, registry, Caller(), calls))
    assert aborted == ["RESOURCE_EXHAUSTED"] * 2
    assert old == [one] * 2
    assert canary == [three] * 3
    assert unknown == ["UNIMPLEMENTED"]
    counts = Counter(weighted)
    assert set(counts) == {one, two}
    # A binomial of 300 by 0.1: outside of these bounds less than once in ten million.
    assert 5 <= counts[two] <= 65


def test_places(make: Make, envoy: Proxy, address: str, backends: Backends) -> None:
    """All go to the near pods; where there are none, to the region that failover names."""
    near, _, named = addresses = backends(3)
    policy = (
        "{loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {failover: [{from: west, to: south}]}}, "
        "outlierDetection: {consecutive5xxErrors: 1}}"
    )
    bundle = make(policy).bundle
    caller = Caller(locality=Locality("west"))
    everywhere = Registry(bundle, pods(addresses, "west", "east", "south"))
    (found,) = asyncio.run(through(envoy, address, everywhere, caller, [(WHO, "", 20)]))
    assert found == [near] * 20
    envoy.kill()
    elsewhere = Registry(bundle, everywhere.endpoints[1:])
    (found,) = asyncio.run(through(envoy, address, elsewhere, caller, [(WHO, "", 20)]))
    assert found == [named] * 20
