"""What is not understood is an error with its place, or a note of it."""

from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text
from whichpod.model.errors import ManifestError

HEAD = "apiVersion: {}\nkind: {}\nmetadata: {{name: x}}\n"
SERVICE = HEAD.format("v1", "Service")
RULE = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r}\nspec:\n  host: echo\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEAD.format("example.com/v1", "CronTab"), 2, "kind CronTab is not understood."),
        (HEAD.format("apps/v1beta1", "Deployment"), 1, "apps/v1beta1 is not understood for a Deployment."),
        (HEAD.format("networking.istio.io/v1", "ServiceEntry"), 1, "hosts outside of the lab."),
        (HEAD.format("networking.istio.io/v1alpha3", "EnvoyFilter"), 1, "which is not supported."),
        (HEAD.format("security.istio.io/v1", "AuthorizationPolicy"), 1, "may refuse RPCs"),
        (HEAD.format("gateway.networking.k8s.io/v1", "HTTPRoute"), 1, "a GRPCRoute is."),
        (HEAD.format("discovery.k8s.io/v1", "EndpointSlice"), 1, "addresses outside of the lab."),
        (SERVICE + "spec: {ports: [{port: 1}], shiny: 1}", 4, "spec.shiny is not understood."),
        (SERVICE + "spec: {ports: [{port: 1}], type: ExternalName}", 4, "not supported."),
        (RULE + "  trafficPolicy: {tls: {mode: SIMPLE}}", 6, "tls.mode SIMPLE is not supported."),
    ],
)  # fmt: skip
def test_an_error_or_a_note(text: str, line: int, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load_text(text, "f")
    assert caught.value.message.startswith(f"f:{line}: ")
    assert says in caught.value.message
    bundle = load_text(text, "f", lenient=True)
    (note,) = [n for n in bundle.notes if says in n.message]
    assert note.line == line
    assert note.message.endswith(
        (" It is left out.", " It is taken as ClusterIP.", " It is taken as DISABLE.")
    )


def test_what_is_wrong_stays_an_error() -> None:
    for spec in ("{ports: [{port: 0}]}", "{ports: []}", "{ports: [{port: one}]}", "{type: Nonsense}"):
        with pytest.raises(ManifestError):
            load_text(SERVICE + f"spec: {spec}", lenient=True)


def test_the_rest_of_the_object_is_used() -> None:
    (service,) = load_text(SERVICE + "spec: {ports: [{port: 1, x: y}]}", lenient=True).services
    assert [p.port for p in service.ports] == [1]


@pytest.mark.parametrize(
    ("version", "kind", "says"),
    [
        ("networking.istio.io/v1", "Sidecar", "is left out: every sidecar of the lab knows every Service."),
        ("networking.istio.io/v1", "Gateway", "no gateway"),
        ("gateway.networking.k8s.io/v1", "Gateway", "no gateway"),
        ("autoscaling/v2", "HorizontalPodAutoscaler", "replicas stay"),
        ("batch/v1", "Job", "is not run"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "no effect"),
        ("monitoring.coreos.com/v1", "ServiceMonitor", "no effect"),
    ],
)
def test_what_changes_nothing_is_noted(version: str, kind: str, says: str) -> None:
    bundle = load_text(HEAD.format(version, kind) + "spec: {anything: goes}", "f")
    (note,) = bundle.notes
    assert f"{kind} x: " in note.message
    assert says in note.message
    assert bundle.documents[0]["kind"] == kind
