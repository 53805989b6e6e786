"""The server against a real Envoy."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap
from whichpod.mesh.identity import Authority
from whichpod.mesh.inbound import inbound
from whichpod.mesh.kube_proxy import kube_proxy
from whichpod.mesh.outbound import Listen, outbound
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import CLUSTER, ENDPOINT, LISTENER, TYPES, Resources
from whichpod.model.errors import LabError

if TYPE_CHECKING:
    from tests.mesh.conftest import Make, Proxy

EVERYTHING = """{
    loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s}},
    connectionPool: {
      tcp: {maxConnections: 9, connectTimeout: 1s, maxConnectionDuration: 1h, idleTimeout: 1h,
            tcpKeepalive: {probes: 3, time: 60s, interval: 5s}},
      http: {http1MaxPendingRequests: 9, http2MaxRequests: 9, maxRequestsPerConnection: 9, maxRetries: 9,
             idleTimeout: 1h, h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 9}},
    outlierDetection: {consecutive5xxErrors: 5, consecutiveGatewayErrors: 2, interval: 1s,
      splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, baseEjectionTime: 1s,
      maxEjectionPercent: 100, minHealthPercent: 10}}
  subsets:
  - {name: random, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
  - {name: least, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 1s}}}}
  - {name: ring, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}}}
  - {name: maglev, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {}}}}}
  - name: client
    trafficPolicy: {connectionPool: {http: {useClientProtocol: true}}}
  - {name: mutual, trafficPolicy: {tls: {mode: ISTIO_MUTUAL, sni: a.b, subjectAltNames: [spiffe://c, d.e]}}}
"""
MORE = """---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
  - name: first
    match:
    - {uri: {exact: /a/B}, headers: {x-a: {exact: "1"}, x-b: {}}, withoutHeaders: {x-c: {regex: "a+"}}}
    - {uri: {regex: "/x.*"}, method: {exact: POST}, authority: {prefix: echo}}
    route:
    - {destination: {host: echo, subset: random}, weight: 1}
    - {destination: {host: echo, subset: ring}, weight: 2}
    timeout: 5s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "503,reset"}
  - route: [{destination: {host: echo, subset: maglev}}]
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec:
  selector: {app: echo}
  ports:
  - {name: tcp-a, port: 81, targetPort: 7001}
  - {name: http-a, port: 82, targetPort: 7002}
  - {name: web, port: 83, targetPort: 7003}
  - {name: udp-a, port: 84, protocol: UDP}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: plain}
spec:
  host: plain
  trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {selector: {app: echo}, sessionAffinity: ClientIP, ports: [{name: a, port: 85, targetPort: 7004}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {selector: {app: echo}, clusterIP: None, ports: [{name: grpc, port: 86, targetPort: 7005}]}
"""


async def admin(address: str, path: str) -> Any:
    def get() -> Any:
        with urllib.request.urlopen(f"http://{address}:15000{path}", timeout=10) as response:
            return json.load(response)

    return await asyncio.to_thread(get)


def listen(address: str) -> Listen:
    return lambda service, port: (address, 10_000 + port.port)


def test_envoy_takes_everything_without_a_warning(make: Make, envoy: Proxy, address: str) -> None:
    bundle = make(EVERYTHING, more=MORE).bundle
    registry = Registry(bundle, tuple(replace(e, meshed=True) for e in make().endpoints), mutual_tls=True)
    pod = registry.endpoints[0]
    inward = inbound(Registry(bundle, mutual_tls=True), pod, "127.0.0.1", other_ports=[7009])
    inward = Resources(inward.clusters, listeners={
        name: {**r, "address": {"socket_address": {**r["address"]["socket_address"], "address": address}}}
        for name, r in inward.listeners.items()
    })  # fmt: skip
    through_nat = kube_proxy(registry, lambda service, port: (address, 20_000 + port.port))
    resources = outbound(registry, listen(address)) | inward | through_nat

    async def run() -> None:
        ads = AdsServer()
        ads_address = await ads.start()
        try:
            ads.set("pod", resources)
            identity = Authority().identity("default", "default")
            envoy.start(envoy_bootstrap("pod", ads_address, f"{address}:15000", zone="z", identity=identity))
            await ads.acked("pod")
            dump = await admin(address, "/config_dump?include_eds")
        finally:
            await ads.stop()
        assert ads.nacks == []
        configs = {c["@type"].rpartition(".")[2]: c for c in dump["configs"]}
        taken = configs["ClustersConfigDump"]["dynamic_active_clusters"]
        assert {c["cluster"]["name"] for c in taken} == set(resources.clusters)
        listeners = configs["ListenersConfigDump"]["dynamic_listeners"]
        assert {c["name"] for c in listeners} == set(resources.listeners)
        assert all("active_state" in c for c in listeners)
        routes = configs["RoutesConfigDump"]["dynamic_route_configs"]
        assert {c["route_config"]["name"] for c in routes} == set(resources.routes)

    asyncio.run(run())
    envoy.kill()
    # The one warning is about the control plane, which went away first.
    assert [line for line in envoy.log.splitlines() if "gRPC config stream" not in line] == []


def test_only_what_changed_is_pushed_and_a_refusal_is_told(make: Make, envoy: Proxy, address: str) -> None:
    registry = make("{loadBalancer: {simple: ROUND_ROBIN}}")

    async def run() -> None:
        ads = AdsServer()
        try:
            ads_address = await ads.start()
            ads.set("pod", outbound(registry, listen(address)))
            envoy.start(envoy_bootstrap("pod", ads_address, f"{address}:15000"))
            await ads.acked("pod")
            assert ads.connected("pod")

            fewer = Registry(registry.bundle, registry.endpoints[:1])
            ads.set("pod", outbound(fewer, listen(address)))
            await ads.acked("pod")
            clusters = await admin(address, "/clusters?format=json")
            (mine,) = [c for c in clusters["cluster_statuses"] if c["name"].startswith("outbound|")]
            hosts = [h["address"]["socket_address"]["address"] for h in mine["host_statuses"]]
            assert hosts == [registry.endpoints[0].address]
            stats = await admin(address, "/stats?format=json&filter=update_success")
            updates = {s["name"]: s["value"] for s in stats["stats"] if "name" in s}
            assert updates["cluster_manager.cds.update_success"] == 1
            assert updates["listener_manager.lds.update_success"] == 1

            # A changed cluster warms up with endpoints that haven't changed.
            random = Registry(make("{loadBalancer: {simple: RANDOM}}").bundle, fewer.endpoints)
            ads.set("pod", outbound(random, listen(address)))
            await ads.acked("pod")
            stats = await admin(address, "/stats?format=json&filter=warming_clusters")
            assert [s["value"] for s in stats["stats"] if "name" in s] == [0]

            ads.set("pod", outbound(random, listen("203.0.113.1")))
            with pytest.raises(LabError, match=r"pod refused its Listener configuration: .*cannot bind"):
                await ads.acked("pod")
            (nack,) = ads.nacks
            assert (nack.node, nack.type_url) == ("pod", LISTENER)
            assert "203.0.113.1:10080" in nack.message

            envoy.kill()
            async with asyncio.timeout(10):
                while ads.connected("pod"):  # noqa: ASYNC110 - a poll with a deadline
                    await asyncio.sleep(0.01)
        finally:
            await ads.stop()

    asyncio.run(run())


def test_two_listeners_on_one_address_are_refused(make: Make, envoy: Proxy, address: str) -> None:
    async def run() -> None:
        ads = AdsServer()
        try:
            ads_address = await ads.start()
            second = await asyncio.start_server(lambda r, w: w.close(), address, 10_080)
            async with second:
                ads.set("pod", outbound(make(), listen(address)))
                envoy.start(envoy_bootstrap("pod", ads_address, f"{address}:15000"))
                with pytest.raises(LabError, match="Address already in use"):
                    await ads.acked("pod")
        finally:
            await ads.stop()

    asyncio.run(run())


@pytest.mark.parametrize("short", [True, False])
def test_over_a_unix_socket(make: Make, envoy: Proxy, address: str, tmp_path: Path, short: bool) -> None:
    path = tmp_path / ("s" if short else "s" * 108)

    async def run() -> None:
        ads = AdsServer()
        try:
            assert await ads.start(f"unix:{path}") == f"unix:{path}" == ads.address
            ads.set("pod", outbound(make(), listen(address)))
            envoy.start(envoy_bootstrap("pod", ads.address, f"{address}:15000"))
            await ads.acked("pod")
        finally:
            await ads.stop()

    if short:
        asyncio.run(run())
    else:
        with pytest.raises(LabError, match=r"(?s)can.t listen on unix:.*107 characters"):
            asyncio.run(run())
    assert not path.exists()


def test_waiting_ends_with_what_is_missing() -> None:
    async def run() -> None:
        ads = AdsServer()
        with pytest.raises(LabError, match="it was given none"):
            await ads.acked("pod", 0.01)
        ads.set("pod", Resources())
        with pytest.raises(LabError, match="it did not connect"):
            await ads.acked("pod", 0.01)
        ads.forget("pod")
        await ads.stop()

    asyncio.run(run())


def test_a_port_in_use() -> None:
    async def run() -> None:
        first, second = AdsServer(), AdsServer()
        try:
            taken = await first.start()
            with pytest.raises(LabError, match="can't listen"):
                await second.start("127.0.0.1", int(taken.rpartition(":")[2]))
        finally:
            await first.stop()

    asyncio.run(run())


def test_many_nodes_share_what_is_packed(make: Make) -> None:
    """500 nodes with 3 pods each subscribe at once, and each gets its own listener and the same clusters."""
    import grpc

    from whichpod.mesh.xds import discovery

    types = discovery()
    registry = make()

    async def node(channel: Any, name: str) -> dict[str, Any]:
        call = channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
            request_serializer=types.DiscoveryRequest.SerializeToString,
            response_deserializer=types.DiscoveryResponse.FromString,
        )()
        await call.write(types.DiscoveryRequest(type_url=CLUSTER, node={"id": name}))
        await call.write(types.DiscoveryRequest(type_url=LISTENER))
        found = {}
        for _ in range(2):
            response = await call.read()
            found[response.type_url] = response
        call.cancel()
        return found

    async def run() -> None:
        ads = AdsServer()
        try:
            ads_address = await ads.start()
            for i in range(500):
                ads.set(f"pod-{i}", outbound(registry, listen(f"127.9.{i // 250}.{i % 250 + 1}")))
            async with grpc.aio.insecure_channel(ads_address) as channel:
                found = await asyncio.gather(*(node(channel, f"pod-{i}") for i in range(500)))
        finally:
            await ads.stop()
        assert len({f[CLUSTER].version_info for f in found}) == 1
        assert len({f[LISTENER].version_info for f in found}) == 500
        assert {len(f[CLUSTER].resources) for f in found} == {1}

    asyncio.run(run())


def test_types() -> None:
    assert TYPES.index(CLUSTER) < TYPES.index(ENDPOINT) < TYPES.index(LISTENER)
