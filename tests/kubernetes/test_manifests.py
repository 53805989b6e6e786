"""Manifests that users apply: Kubernetes takes them, and they mean what the matrix means."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.kubernetes.deployed import OBJECTS, SETUPS, rendered, written
from tests.kubernetes.istio import RefusedError, of_istio, validate_istio
from tests.kubernetes.manifests import SCENARIOS, Document, dressed, of_kind, raw, validate
from tests.kubernetes.schemas import SCHEMAS
from whichpod.cluster.kubernetes.dress import SERVER_RESOURCES
from whichpod.cluster.kubernetes.harden import pod_security
from whichpod.echo.args import settings_from_args
from whichpod.manifest.documents import documents
from whichpod.scenarios.scenario import Scenario

VERSIONS = ("1.27", "1.30", "1.33", "1.35", "1.37")
"""Of Kubernetes. 1.27 is the first with gRPC probes for good."""
ROW = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
SETUP = pytest.mark.parametrize("setup", SETUPS)


def changed(document: Document, path: str, value: Any) -> Document:
    """A copy with something else at a dotted path; None takes it away."""
    found = copy.deepcopy(document)
    at: Any = found
    *way, last = path.split(".")
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OBJECTS)
def test_every_file_holds_objects_that_kubernetes_takes(name: str, version: str) -> None:
    found = written(name)
    assert found
    for document in found:
        if not of_istio(document):
            validate(document, version)


@SETUP
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_what_is_rendered(setup: str, version: str) -> None:
    for document in rendered(setup):
        if not of_istio(document):
            validate(document, version)


def test_istio_takes_the_rules_of_the_set_ups() -> None:
    found = [d for name in OBJECTS for d in written(name) if of_istio(d)]
    assert {d["kind"] for d in found} == {"DestinationRule", "PeerAuthentication"}
    for document in found:
        validate_istio(document)


@ROW
def test_istio_takes_the_rules_of_every_scenario(scenario: Scenario) -> None:
    given = documents(scenario.bundle())
    for document in [*given, *dressed(given)]:
        if of_istio(document):
            validate_istio(document)


RULE: Document = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "echo"},
    "spec": {
        "host": "echo",
        "trafficPolicy": {
            "connectionPool": {"http": {"maxRequestsPerConnection": 10}, "tcp": {"connectTimeout": "3s"}},
            "loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}},
            "outlierDetection": {"consecutive5xxErrors": 5, "interval": "10s"},
        },
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
    },
}
ROUTE: Document = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "echo"},
    "spec": {
        "hosts": ["echo"],
        "http": [
            {
                "match": [{"headers": {"x-user": {"exact": "a"}}}],
                "route": [{"destination": {"host": "echo", "port": {"number": 50051}}, "weight": 100}],
                "timeout": "5s",
            }
        ],
    },
}
SERVICE = of_kind(written("base/service.yaml"), "Service")
SERVERS = of_kind(written("base/deployment.yaml"), "Deployment")
MUTUAL = of_kind(written("with-istio/peer-authentication.yaml"), "PeerAuthentication")
BOX = "spec.template.spec.containers.0"


@pytest.mark.parametrize("document", [SERVICE, SERVERS], ids=lambda d: d["kind"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_take_what_is_right(document: Document, version: str) -> None:
    validate(document, version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (SERVICE, "kind", "Servise"),
        (SERVICE, "apiVersion", "v2"),
        (SERVICE, "spec.port", 50051),
        (SERVICE, "spec.ports.0.port", "50051"),
        (SERVICE, "spec.ports.0.port", None),
        (SERVERS, "spec.selector", None),
        (SERVERS, "spec.replicas", "five"),
        (SERVERS, f"{BOX}.readinessProbe.grpc.port", "grpc"),
        (SERVERS, f"{BOX}.readinesProbe", {}),
        (SERVERS, f"{BOX}.env.0.value", 50051),
    ],
)
def test_the_schemas_refuse_what_is_wrong(document: Document, path: str, value: Any, version: str) -> None:
    with pytest.raises((SCHEMAS.SchemaNotFoundError, SCHEMAS.ValidationError)):
        validate(changed(document, path, value), version)


@pytest.mark.parametrize("document", [RULE, ROUTE, MUTUAL], ids=lambda d: d["kind"])
def test_istios_models_take_what_is_right(document: Document) -> None:
    validate_istio(document)


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        (RULE, "kind", "DestinationRules"),
        (RULE, "apiVersion", "networking.istio.io/v2"),
        (RULE, "spec.host", None),
        (RULE, "spec.trafficPolicies", {}),
        (RULE, "spec.trafficPolicy.loadBalancer", {"simple": "ROUNDROBIN"}),
        (RULE, "spec.trafficPolicy.loadBalancer", {"simpel": "ROUND_ROBIN"}),
        (RULE, "spec.trafficPolicy.connectionPool.http.maxRequestsPerConnection", "10"),
        (RULE, "spec.trafficPolicy.connectionPool.maxRequestsPerConnection", 10),
        (RULE, "spec.trafficPolicy.outlierDetection.consecutive5xxErrors", -1),
        (RULE, "spec.subsets.0.name", None),
        (ROUTE, "spec.http.0.route.0.destination.host", None),
        (ROUTE, "spec.http.0.route.0.destination.port", 50051),
        (ROUTE, "spec.http.0.route.0.wieght", 1),
        (ROUTE, "spec.http.0.match.0.headers.x-user", {"equals": "a"}),
        (MUTUAL, "spec.mtls.mode", "ON"),
        (MUTUAL, "spec.mTLS", {"mode": "STRICT"}),
    ],
)
def test_istios_models_refuse_what_is_wrong(document: Document, path: str, value: Any) -> None:
    with pytest.raises(RefusedError):
        validate_istio(changed(document, path, value))


def test_what_is_refused_is_named() -> None:
    with pytest.raises(RefusedError, match=r"no Thing in networking\.istio\.io/v1"):
        validate_istio(RULE | {"kind": "Thing"})
    with pytest.raises(RefusedError, match="simpel"):
        validate_istio(changed(RULE, "spec.trafficPolicy.loadBalancer", {"simpel": "ROUND_ROBIN"}))


def test_the_set_ups_mean_what_the_matrix_means() -> None:
    normal, headless = raw("istio"), raw("headless-round-robin")
    assert SERVICE["spec"] == of_kind(normal, "Service")["spec"]
    assert (
        of_kind(written("base/service-headless.yaml"), "Service")["spec"]
        == of_kind(headless, "Service")["spec"]
    )
    policy = of_kind(written("with-istio/destination-rule.yaml"), "DestinationRule")["spec"]["trafficPolicy"]
    assert policy == of_kind(normal, "DestinationRule")["spec"]["trafficPolicy"]
    ours, matrix = (
        d["spec"]["template"]["spec"]["containers"][0] for d in (SERVERS, of_kind(normal, "Deployment"))
    )
    assert SERVERS["spec"]["replicas"] == of_kind(normal, "Deployment")["spec"]["replicas"]
    assert ours["ports"] == matrix["ports"]
    assert ours["args"][:1] == matrix["args"]
    assert all(variable in ours["env"] for variable in matrix["env"])
    assert ours["resources"] == SERVER_RESOURCES


def test_a_pod_has_time_to_drain() -> None:
    pod = SERVERS["spec"]["template"]["spec"]
    [box] = pod["containers"]
    settings = settings_from_args(box["args"][1:], {v["name"]: v.get("value", "") for v in box["env"]})
    assert settings.port == box["ports"][0]["containerPort"]
    *_, seconds = box["lifecycle"]["preStop"]["exec"]["command"]
    drained = float(seconds) + settings.grace_s
    assert drained < pod["terminationGracePeriodSeconds"]
    sidecar = of_kind(written("with-istio/sidecar.yaml"), "Deployment")["spec"]["template"]["metadata"]
    lines = dict(line.split(": ") for line in sidecar["annotations"]["proxy.istio.io/config"].splitlines())
    assert lines["holdApplicationUntilProxyStarts"] == "true"
    assert drained < float(lines["terminationDrainDuration"].removesuffix("s"))


def test_a_service_called_grpc_does_no_harm() -> None:
    assert SERVERS["spec"]["template"]["spec"]["enableServiceLinks"] is False


@SETUP
def test_a_set_up_keeps_to_its_own_namespace(setup: str) -> None:
    found = rendered(setup)
    namespace = of_kind(found, "Namespace")["metadata"]["name"]
    assert namespace == f"whichpod-{setup}"
    assert {d["metadata"]["namespace"] for d in found if d["kind"] != "Namespace"} == {namespace}
    marks = {d["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") for d in found}
    assert marks == {None}, "whichpod would take it for its own, and remove it"


@SETUP
def test_the_parts_of_a_set_up_find_one_another(setup: str) -> None:
    found = rendered(setup)
    servers = of_kind(found, "Deployment")
    labels = servers["spec"]["template"]["metadata"]["labels"].items()
    ports = {p["name"] for p in servers["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert servers["spec"]["selector"] == {"matchLabels": {"app": "echo"}}
    assert labels >= {"app": "echo"}.items()
    services = {d["metadata"]["name"]: d["spec"] for d in found if d["kind"] == "Service"}
    assert services.keys() == {"echo", "echo-headless"}
    for spec in services.values():
        assert spec["selector"].items() <= labels
        assert {p["targetPort"] for p in spec["ports"]} <= ports
    assert of_kind(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
    [spread] = servers["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= labels
    rules = [d for d in found if of_istio(d)]
    assert {d["kind"] for d in rules} == (
        {"DestinationRule", "PeerAuthentication"} if setup == "with-istio" else set()
    )
    for rule in rules:
        spec = rule["spec"]
        assert (
            spec["host"] in services if "host" in spec else spec["selector"]["matchLabels"].items() <= labels
        )
    assert dict(labels)["sidecar.istio.io/inject"] == ("true" if rules else "false")


@SETUP
def test_pods_may_do_as_little_as_they_need(setup: str) -> None:
    found = rendered(setup)
    assert pod_security(found, istio_init=False) == "restricted"
    enforced = of_kind(found, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == pod_security(found, istio_init=True)
    pod = of_kind(found, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert all(box["securityContext"]["readOnlyRootFilesystem"] for box in pod["containers"])


@SETUP
def test_the_image_is_set_in_one_place(setup: str) -> None:
    [box] = of_kind(rendered(setup), "Deployment")["spec"]["template"]["spec"]["containers"]
    assert box["image"] == "whichpod:latest"
    # By default :latest is always pulled, and an image that was loaded into a node would not be found.
    assert box["imagePullPolicy"] == "IfNotPresent"
