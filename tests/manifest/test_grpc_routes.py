from __future__ import annotations

import pytest

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.load import load_text
from whichpod.manifest.routing import ParentRef
from whichpod.model.errors import ManifestError

HEAD = """\
apiVersion: gateway.networking.k8s.io/{}
kind: GRPCRoute
metadata: {{name: r, namespace: shop}}
spec:
"""
SERVICE = '{group: "", kind: Service, name: echo}'
BACKEND = "backendRefs: [{name: echo, port: 80}]"


def load(spec: str, version: str = "v1") -> Bundle:
    return load_text(HEAD.format(version) + spec, "f")


@pytest.mark.parametrize("version", ["v1", "v1alpha2"])
def test_parents(version: str) -> None:
    parents = f"[{SERVICE}, {{group: '', kind: Service, name: other, namespace: x, port: 81}}, {{name: gw}}]"
    found = load(f"  parentRefs: {parents}\n  rules: [{{{BACKEND}}}]\n", version)
    (route,) = found.grpc_routes
    assert route.parents == (ParentRef("echo", "shop"), ParentRef("other", "x", 81))
    assert [(v.meta.name, v.hosts) for v in found.virtual_services] == [
        ("r~0", ("echo.shop.svc.cluster.local",)),
        ("r~1", ("other.x.svc.cluster.local",)),
    ]
    assert "GRPCRoute r: spec.parentRefs[2] has no effect: the lab has no gateway." in [
        n.message for n in found.notes
    ]
    assert any(
        "GRPCRoute r: the host 'echo.shop.svc.cluster.local' is no Service" in n.message for n in found.notes
    )


def test_one_of_gateways_alone_is_left_out() -> None:
    found = load("  parentRefs: [{name: gw}]\n  hostnames: [x]\n  rules: [{anything: goes}]\n")
    assert (found.grpc_routes, found.virtual_services) == ((), ())
    assert found.notes[-1].message.startswith("GRPCRoute r: ")
    assert len(found.documents) == 1


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("{matches: [{method: {}}]}", "must have service or method"),
        ("{matches: [{method: {type: Prefix, service: a}}]}", "'Prefix' is not understood"),
        ("{matches: [{headers: [{name: a}]}]}", "value is missing"),
        ("{filters: [{type: RequestMirror}]}", "requestMirror is missing"),
        ("{filters: [{type: ExtensionRef, extensionRef: {}}]}", "ExtensionRef is not supported"),
        ("{filters: [{type: URLRewrite}]}", "'URLRewrite' is not understood"),
        ("{backendRefs: [{name: a}]}", "port is missing"),
        ("{backendRefs: [{name: a, port: 1, kind: Other}]}", "Other of the group '' is not supported"),
        ("{backendRefs: [{name: a, port: 1, filters: [{}]}]}", "filters is not supported"),
        ("{sessionPersistence: {}}", "sessionPersistence is not supported"),
        ("{timeouts: {}}", "timeouts is not understood"),
    ],
)
def test_what_is_refused(rule: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(f"  parentRefs: [{SERVICE}]\n  rules: [{rule}]\n")
    assert says in caught.value.message
    assert caught.value.message.startswith("f:6: ")


def test_a_parent_that_is_neither() -> None:
    with pytest.raises(ManifestError, match="Other of the group 'x' is not supported"):
        load(f"  parentRefs: [{SERVICE}, {{group: x, kind: Other, name: a}}]\n")
