from __future__ import annotations

import pytest

from whichpod.manifest.kinds import Service
from whichpod.manifest.load import load_text
from whichpod.model.errors import ManifestError

HEAD = "apiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: shop}\nspec:\n"


def service(spec: str) -> Service:
    (found,) = load_text(HEAD + spec, "f").services
    return found


def test_ports() -> None:
    found = service(
        "  ports:\n"
        "  - {name: grpc, port: 80, targetPort: 50051, appProtocol: kubernetes.io/h2c}\n"
        "  - {name: admin, port: 9901, targetPort: web}\n"
        "  - {name: dns, port: 53, protocol: UDP}\n"
    )
    assert [(p.name, p.port, p.target_port, p.app_protocol, p.protocol) for p in found.ports] == [
        ("grpc", 80, 50051, "kubernetes.io/h2c", "TCP"),
        ("admin", 9901, "web", "", "TCP"),
        ("dns", 53, 53, "", "UDP"),
    ]
    assert [p.where.line for p in found.ports] == [6, 7, 8]
    assert found.host == "echo.shop.svc.cluster.local"
    assert found.find_port("admin") is found.ports[1]
    assert found.find_port("80") is found.find_port(80) is found.ports[0]
    assert found.find_port("") is None
    assert found.find_port(1) is None


def test_headless_and_affinity() -> None:
    assert not service("  ports: [{port: 1}]\n").headless
    found = service(
        "  clusterIP: None\n  publishNotReadyAddresses: true\n  sessionAffinity: ClientIP\n"
        "  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}\n"
    )
    assert (found.headless, found.publish_not_ready) == (True, True)
    assert (found.session_affinity, found.affinity_timeout_s) == ("ClientIP", 60)


def test_what_a_service_selects() -> None:
    found = service("  selector: {app: echo, tier: a}\n  ports: [{port: 1}]\n")
    assert found.selects("shop", {"app": "echo", "tier": "a", "more": "x"})
    assert not found.selects("shop", {"app": "echo"})
    assert not found.selects("default", {"app": "echo", "tier": "a"})
    assert not service("  ports: [{port: 1}]\n").selects("shop", {"app": "echo"})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("  ports: []", "spec.ports is empty"),
        ("  ports: [{port: 1}, {port: 2}]", "must each have a name"),
        ("  ports: [{name: a, port: 1}, {name: a, port: 2}]", "the name 'a' twice"),
        ("  ports: [{name: a, port: 1}, {name: b, port: 1}]", "the port 1/TCP twice"),
        ("  ports: [{port: 1, targetPort: 0}]", "targetPort must be from 1"),
        ("  ports: [{port: 1, targetPort: UPPER}]", "'UPPER' is no valid name"),
        ("  ports: [{port: 1, protocol: HTTP}]", "protocol 'HTTP' is not understood"),
        ("  ports: [{port: '1'}]", "port must be a whole number, not text"),
        ("  ports: [{port: 1}]\n  sessionAffinity: Cookie", "'Cookie' is not understood"),
        ("  ports: [{port: 1}]\n  clusterIP: None\n  clusterIPs: [10.0.0.1]", "does not agree"),
        ("  ports: [{port: 1}]\n  externalName: x", "externalName is not supported"),
    ],
)
def test_what_is_refused(spec: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        service(spec)
    assert says in caught.value.message


def test_notes() -> None:
    text = HEAD + "  type: NodePort\n  clusterIP: 10.96.1.1\n  ports: [{port: 1, nodePort: 30000}]\n"
    notes = [n.message for n in load_text(text).notes]
    assert "spec.type NodePort is taken as ClusterIP" in notes[1]
    assert "is chosen by the lab" in notes[2]
    assert "nodePort has no effect" in notes[3]
    assert "has no selector" in notes[0]


def test_config_maps() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    (found,) = load_text(head + "data: {a: x}\nbinaryData: {b: aGk=}\nimmutable: true\n").config_maps
    assert found.data == {"a": "x", "b": "hi"}
    for data in ("data: {a/b: x}", "data: {'..': x}", "binaryData: {b: '!'}", "data: {a: 1}"):
        with pytest.raises(ManifestError):
            load_text(head + data)
