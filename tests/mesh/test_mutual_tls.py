"""Mutual TLS between sidecars: what is configured, and what real Envoys and clients make of it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from whichpod.mesh.ads import AdsServer
from whichpod.mesh.bootstrap import envoy_bootstrap
from whichpod.mesh.identity import Authority, Identity
from whichpod.mesh.inbound import inbound
from whichpod.mesh.outbound import outbound
from whichpod.mesh.pieces import JsonObject
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import Resources

if TYPE_CHECKING:
    from tests.mesh.conftest import Backends, Make, Proxy, Statuses

PORT = 10_080
NAME = "outbound|80||echo.default.svc.cluster.local"
SUBSETS = "\n  subsets: [{name: v1, labels: {version: v1}, trafficPolicy: SUBSET}]"


def policy(mode: str, namespace: str = "default") -> str:
    return (
        f"---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
        f"metadata: {{name: p, namespace: {namespace}}}\nspec: {{mtls: {{mode: {mode}}}}}\n"
    )


def mutual(registry: Registry, **changes: Any) -> Registry:
    pods = tuple(replace(e, **{"meshed": True, **changes}) for e in registry.endpoints)
    return Registry(registry.bundle, pods, mutual_tls=True)


def outward(registry: Registry, **options: Any) -> Resources:
    return outbound(registry, lambda s, p: ("127.0.0.9", p.port), **options)


def context(socket: JsonObject) -> JsonObject:
    found: JsonObject = socket["typed_config"]["common_tls_context"]
    return found


def taking_tls(resources: Resources, name: str = NAME) -> list[bool]:
    (locality,) = resources.endpoints[name]["endpoints"]
    key = "envoy.transport_socket_match"
    return [
        e.get("metadata", {}).get("filter_metadata", {}).get(key) == {"tlsMode": "istio"}
        for e in locality["lb_endpoints"]
    ]


def test_without_certificates_nothing_is_encrypted(make: Make) -> None:
    registry = make("{tls: {mode: ISTIO_MUTUAL}}", more=policy("STRICT"))
    meshed = Registry(registry.bundle, tuple(replace(e, meshed=True) for e in registry.endpoints))
    found = outward(meshed) | inbound(meshed, meshed.endpoints[0], "127.0.9.1")
    assert "transport_socket" not in str([*found.clusters.values(), *found.listeners.values()])
    assert taking_tls(found) == [False, False, False]


def test_it_is_automatic(make: Make) -> None:
    registry = mutual(make(), service_account="teller")
    found = outward(registry)
    mesh, others = found.clusters[NAME]["transport_socket_matches"]
    assert (mesh["name"], mesh["match"]) == ("tlsMode-istio", {"tlsMode": "istio"})
    assert (others["name"], others["match"]) == ("tlsMode-disabled", {})
    assert others["transport_socket"]["name"] == "envoy.transport_sockets.raw_buffer"
    socket = mesh["transport_socket"]
    assert socket["typed_config"]["sni"] == "outbound_.80_._.echo.default.svc.cluster.local"
    tls = context(socket)
    assert tls["tls_certificate_sds_secret_configs"] == [{"name": "default"}]
    trusted = tls["combined_validation_context"]
    assert trusted["validation_context_sds_secret_config"] == {"name": "ROOTCA"}
    assert trusted["default_validation_context"]["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": "spiffe://cluster.local/ns/default/sa/teller"}}
    ]
    assert tls["tls_params"] == {
        "tls_minimum_protocol_version": "TLSv1_2",
        "tls_maximum_protocol_version": "TLSv1_3",
    }
    assert taking_tls(found) == [True, True, True]


def test_pods_without_a_sidecar_are_sent_plain_text(make: Make) -> None:
    registry = mutual(make())
    first, *rest = registry.endpoints
    mixed = Registry(registry.bundle, (replace(first, meshed=False), *rest), mutual_tls=True)
    assert taking_tls(outward(mixed)) == [False, True, True]


@pytest.mark.parametrize(
    ("port", "policy", "alpn"),
    [
        ("grpc", "{}", ["istio-h2", "istio", "h2"]),
        ("http", "{}", ["istio-http/1.1", "istio", "http/1.1"]),
        ("http", "{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", ["istio-h2", "istio", "h2"]),
        ("http", "{connectionPool: {http: {useClientProtocol: true}}}", ["istio-peer-exchange", "istio"]),
        ("tcp", "{}", ["istio-peer-exchange", "istio"]),
        ("web", "{}", ["istio-peer-exchange", "istio"]),
    ],
)
def test_what_is_offered_says_how_the_cluster_speaks(
    make: Make, port: str, policy: str, alpn: list[str]
) -> None:
    found = outward(mutual(make(policy, port=port)))
    mesh, _ = found.clusters[NAME]["transport_socket_matches"]
    assert context(mesh["transport_socket"])["alpn_protocols"] == alpn


def test_of_a_sniffed_port_it_is_said_by_what_was_found(make: Make) -> None:
    (listener,) = outward(mutual(make(port="web"))).listeners.values()
    said = {}
    for chain in listener["filter_chains"]:
        (protocol,) = chain["filter_chain_match"]["application_protocols"]
        offering, _fault, _router = chain["filters"][0]["typed_config"]["http_filters"]
        (action,) = offering["typed_config"]["on_request_headers"]
        said[protocol] = action["format_string"]["text_format_source"]["inline_string"]
    assert said == {"http/1.1": "istio-http/1.1,istio,http/1.1", "h2c": "istio-h2,istio,h2"}


def test_disable_is_plain_text_to_all(make: Make) -> None:
    cluster = outward(mutual(make("{tls: {mode: DISABLE}}"))).clusters[NAME]
    assert "transport_socket" not in cluster
    assert "transport_socket_matches" not in cluster


def test_istio_mutual_is_tls_to_all(make: Make) -> None:
    registry = mutual(make("{tls: {mode: ISTIO_MUTUAL}}"), meshed=False)
    cluster = outward(registry).clusters[NAME]
    assert "transport_socket_matches" not in cluster
    assert cluster["transport_socket"]["name"] == "envoy.transport_sockets.tls"


def test_istio_mutual_with_a_name_and_identities_of_its_own(make: Make) -> None:
    registry = mutual(make("{tls: {mode: ISTIO_MUTUAL, sni: a.b, subjectAltNames: [spiffe://c, d.e]}}"))
    socket = outward(registry).clusters[NAME]["transport_socket"]
    assert socket["typed_config"]["sni"] == "a.b"
    trusted = context(socket)["combined_validation_context"]["default_validation_context"]
    assert trusted["match_typed_subject_alt_names"] == [
        {"san_type": "URI", "matcher": {"exact": "spiffe://c"}},
        {"san_type": "DNS", "matcher": {"exact": "d.e"}},
    ]


@pytest.mark.parametrize(
    ("whole", "subset", "expected"),
    [
        ("{}", "{tls: {mode: DISABLE}}", ("matches", "plain")),
        ("{}", "{tls: {mode: ISTIO_MUTUAL}}", ("matches", "tls")),
        ("{tls: {mode: DISABLE}}", "{}", ("plain", "plain")),
        ("{tls: {mode: DISABLE}}", "{tls: {mode: ISTIO_MUTUAL}}", ("plain", "tls")),
        ("{portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}", "{}", ("plain", "plain")),
        ("{portLevelSettings: [{port: {number: 81}, tls: {mode: DISABLE}}]}", "{}", ("matches", "matches")),
    ],
)
def test_per_subset_and_port(make: Make, whole: str, subset: str, expected: tuple[str, str]) -> None:
    found = outward(mutual(make(whole + SUBSETS.replace("SUBSET", subset))))
    named = (NAME, NAME.replace("||", "|v1|"))
    kinds = {"transport_socket": "tls", "transport_socket_matches": "matches"}
    assert (
        tuple(next((kinds[k] for k in kinds if k in found.clusters[n]), "plain") for n in named) == expected
    )
    if expected[1] == "tls":
        assert found.clusters[named[1]]["transport_socket"]["typed_config"]["sni"] == (
            "outbound_.80_.v1_.echo.default.svc.cluster.local"
        )


def test_a_ports_settings_without_tls_leave_the_endpoints_to_the_whole(make: Make) -> None:
    """As istiod's: the cluster forgets the destination's `tls`, the endpoints do not."""
    settings = "portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]"
    found = outward(mutual(make(f"{{tls: {{mode: DISABLE}}, {settings}}}")))
    assert "transport_socket_matches" in found.clusters[NAME]
    assert taking_tls(found) == [False, False, False]


def test_pods_that_refuse_tls_are_not_sent_it(make: Make) -> None:
    of_one = policy("DISABLE").replace("mtls", "selector: {matchLabels: {version: v2}}, mtls")
    found = outward(mutual(make(more=of_one)))
    assert taking_tls(found) == [True, False, True]
    assert "transport_socket_matches" in found.clusters[NAME]
    assert "transport_socket_matches" not in outward(mutual(make(more=policy("DISABLE")))).clusters[NAME]


@pytest.mark.parametrize("port", ["grpc", "web", "tcp-grpc"])
def test_envoys_and_clients(
    make: Make, envoy: Proxy, address: str, backends: Backends, statuses: Statuses, port: str
) -> None:
    """A caller with a sidecar and one without, and a pod that takes both, TLS only, and plain text only."""
    (app,) = backends(1)
    identity = Authority().identity("default", "default")
    plain, meshed = f"ipv4:{address}:50051", f"ipv4:{address}:{PORT}"

    def resources(mode: str) -> Resources:
        pod = Endpoint("pod", address, {"app": "echo"}, {"main": 50051}, meshed=True)
        registry = Registry(make(port=port, more=policy(mode)).bundle, (pod,), mutual_tls=True)
        return inbound(registry, pod, app) | outbound(registry, lambda s, p: (address, PORT))

    async def run() -> dict[str, list[str]]:
        ads = AdsServer()
        found = {}
        try:
            for mode in ("PERMISSIVE", "STRICT", "DISABLE"):
                ads.set("pod", resources(mode))
                if mode == "PERMISSIVE":
                    envoy.start(
                        envoy_bootstrap("pod", await ads.start(), f"{address}:15000", identity=identity)
                    )
                await ads.acked("pod")
                found[mode] = await statuses(meshed, plain)
        finally:
            await ads.stop()
        return found

    found = asyncio.run(run())
    for mode, (by_sidecar, directly) in found.items():
        assert by_sidecar.startswith(f"{app} ipv4:127.0.0.6:")
        told = by_sidecar.split()[2]
        # Who called is told over HTTP only.
        secure = mode != "DISABLE" and port != "tcp-grpc"
        assert (f"URI={identity.uri}" in told) is secure
        if mode == "STRICT":
            assert directly == "UNAVAILABLE"
        else:
            assert directly.startswith(f"{app} ipv4:127.0.0.6:")
            assert directly.split()[2] == "-"


async def spoken(host: str, identity: Identity | None, folder: Path) -> bytes:
    """What a pod says first to a caller that speaks TLS with that certificate; nothing when it is cut off."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["h2"])
    if identity:
        pair = folder / "pair.pem"
        pair.write_text(identity.certificate + identity.key)
        tls.load_cert_chain(pair)
    try:
        reader, writer = await asyncio.open_connection(host, 50051, ssl=tls)
    except (OSError, ssl.SSLError):
        return b""
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        return await asyncio.wait_for(reader.read(9), 10)
    except (OSError, ssl.SSLError):
        return b""
    finally:
        writer.close()


def test_strict_pods_want_a_certificate_of_the_mesh(
    make: Make, envoy: Proxy, address: str, tmp_path: Path
) -> None:
    ours = Authority()
    pod = Endpoint("pod", address, {"app": "echo"}, {"main": 50051}, meshed=True)
    registry = Registry(make(more=policy("STRICT")).bundle, (pod,), mutual_tls=True)

    async def run() -> None:
        ads = AdsServer()
        try:
            ads.set("pod", inbound(registry, pod, "127.0.9.1"))
            mine = ours.identity("default", "default")
            envoy.start(envoy_bootstrap("pod", await ads.start(), f"{address}:15000", identity=mine))
            await ads.acked("pod")
            assert await spoken(address, ours.identity("other", "caller"), tmp_path)
            assert await spoken(address, None, tmp_path) == b""
            assert await spoken(address, Authority().identity("default", "default"), tmp_path) == b""
        finally:
            await ads.stop()

    asyncio.run(run())


def test_a_callee_with_another_identity_is_not_spoken_to(
    make: Make, envoy: Proxy, address: str, backends: Backends, statuses: Statuses
) -> None:
    (app,) = backends(1)
    pod = Endpoint("pod", address, {"app": "echo"}, {"main": 50051}, meshed=True, service_account="teller")
    registry = Registry(make().bundle, (pod,), mutual_tls=True)

    async def run() -> list[str]:
        ads = AdsServer()
        try:
            both = inbound(registry, pod, app) | outbound(registry, lambda s, p: (address, PORT))
            ads.set("pod", both)
            # Not teller's.
            identity = Authority().identity("default", "default")
            envoy.start(envoy_bootstrap("pod", await ads.start(), f"{address}:15000", identity=identity))
            await ads.acked("pod")
            return await statuses(f"ipv4:{address}:{PORT}")
        finally:
            await ads.stop()

    assert asyncio.run(run()) == ["UNAVAILABLE"]
