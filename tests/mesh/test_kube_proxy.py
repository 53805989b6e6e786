from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whichpod.mesh.kube_proxy import kube_proxy
from whichpod.mesh.registry import Registry
from whichpod.mesh.resources import TYPES, Resources
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make


def translated(registry: Registry) -> Resources:
    found = kube_proxy(registry, lambda s, p: ("127.0.0.9", p.port))
    for url in TYPES:
        for text in found.texts[url].values():
            packed(url, text)
    return found


def proxy(listener: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def test_a_pod_at_random_for_each_connection(make: Make) -> None:
    # kube-proxy knows nothing of port names or Istio's rules.
    found = translated(make("{loadBalancer: {simple: ROUND_ROBIN}}"))
    name = "default/echo:grpc:80"
    assert found.clusters[name]["lb_policy"] == "RANDOM"
    assert len(found.endpoints[name]["endpoints"][0]["lb_endpoints"]) == 3
    assert proxy(found.listeners[name])["cluster"] == name
    assert "hash_policy" not in proxy(found.listeners[name])
    assert not found.routes


def test_without_ready_endpoints_connections_are_refused(make: Make) -> None:
    found = translated(Registry(make().bundle, ()))
    assert found.listeners == {}
    assert len(found.clusters) == 1


def test_session_affinity(make: Make) -> None:
    more = "---\napiVersion: v1\nkind: Service\nmetadata: {name: sticky}\n"
    more += "spec: {sessionAffinity: ClientIP, selector: {app: echo}, ports: [{port: 81}]}\n"
    found = translated(make(more=more))
    assert found.clusters["default/sticky:81"]["lb_policy"] == "MAGLEV"
    assert proxy(found.listeners["default/sticky:81"])["hash_policy"] == [{"source_ip": {}}]


def test_headless_services_and_udp_have_none(make: Make) -> None:
    more = "---\napiVersion: v1\nkind: Service\nmetadata: {name: h}\n"
    more += "spec: {clusterIP: None, selector: {app: echo}, ports: [{port: 81}]}\n"
    more += "---\napiVersion: v1\nkind: Service\nmetadata: {name: u}\n"
    more += "spec: {selector: {app: echo}, ports: [{port: 82, protocol: UDP}]}\n"
    assert set(translated(make(more=more)).listeners) == {"default/echo:grpc:80"}
