from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.standin import ApiServer
from tests.kubernetes.standin.gateway import gateway_class
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.doctor import Examination, examine, needed
from whichpod.cluster.kubernetes.facts import Facts, gather, lacks
from whichpod.cluster.kubernetes.home import USE
from whichpod.cluster.kubernetes.names import run_labels

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(version="1.31", gateway=True) as api:
        yield api


async def facts(server: ApiServer, tmp_path: Path) -> Facts:
    async with Api.open(str(server.kubeconfig(tmp_path)), patience_s=2.0) as api:
        return await gather(api)


async def doctor(server: ApiServer, tmp_path: Path, namespace: str = "") -> Examination:
    async with Api.open(str(server.kubeconfig(tmp_path)), patience_s=2.0) as api:
        return await examine(api, namespace)


def make(server: ApiServer, kind: str, name: str, namespace: str = "", **more: Any) -> None:
    versions = {
        "MutatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
        "DaemonSet": "apps/v1",
        "Deployment": "apps/v1",
    }
    metadata = {"name": name, "labels": more.pop("labels", {})} | (
        {"namespace": namespace} if namespace else {}
    )
    server.store.create({"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": metadata} | more)


def hook(server: ApiServer, name: str, **labels: str) -> None:
    said = {f"istio.io/{key}": value for key, value in labels.items()}
    make(server, "MutatingWebhookConfiguration", name, labels=said)


def istiod(server: ApiServer, version: str, **env: str) -> None:
    container = {
        "name": "discovery",
        "image": f"docker.io/istio/pilot:{version}",
        "env": [{"name": key, "value": value} for key, value in env.items()],
    }
    spec = {"replicas": 0, "template": {"spec": {"containers": [container]}}}
    make(server, "Deployment", "istiod", "istio-system", labels={"app": "istiod"}, spec=spec)


async def test_a_plain_cluster(server: ApiServer, tmp_path: Path) -> None:
    make(server, "Node", "a")
    make(server, "Service", "kube-dns", "kube-system", spec={"clusterIP": "10.43.0.10"})
    make(
        server, "ConfigMap", "kube-proxy", "kube-system", data={"config.conf": 'kind: X\nmode: "nftables"\n'}
    )
    make(server, "DaemonSet", "kindnet", "kube-system")
    found = await facts(server, tmp_path)
    assert (found.version, found.nodes, found.per_index) == ((1, 31), 1, True)
    assert (found.cluster_dns, found.proxy_mode, found.cni) == ("10.43.0.10", "nftables", "kindnet")
    assert found.istio is False  # its definitions are there, its injector isn't
    assert found.gateway_api
    assert found.unknown == {}
    assert lacks(found, istio=False) is None
    assert lacks(found, istio=False, routes=True) is None
    assert lacks(found, istio=False, gateway=True) is not None


TAGGED = {"istio-sidecar-injector-a": {"rev": "a"}, "istio-revision-tag-prod": {"rev": "a", "tag": "prod"}}
DEFAULT = {"istio-sidecar-injector-a": {"rev": "a"}, "istio-revision-tag-default": {"rev": "a"}}


@pytest.mark.parametrize(
    ("hooks", "revision"),
    [
        ({"istio-sidecar-injector": {"rev": "default"}}, ""),
        ({"istio-sidecar-injector-1-27": {"rev": "1-27"}}, "1-27"),
        (TAGGED, "prod"),
        (DEFAULT, ""),
    ],
)
async def test_what_pods_must_name_to_get_a_sidecar(
    server: ApiServer, tmp_path: Path, hooks: dict[str, dict[str, str]], revision: str
) -> None:
    for name, labels in hooks.items():
        hook(server, name, **labels)
    istiod(server, "1.26.3-distroless", ENABLE_NATIVE_SIDECARS="true")
    found = await facts(server, tmp_path)
    assert (found.istio, found.revision) == (True, revision)
    assert found.istio_version == "1.26.3"
    assert found.native_sidecars
    assert found.istio_api == ""


async def test_native_sidecars_only_where_that_is_certain(tmp_path: Path) -> None:
    for version, env, native in (("1.28", "true", False), ("1.33", "false", False), ("1.33", "", False)):
        with ApiServer(version=version) as server:
            istiod(server, "1.27.0", **({"ENABLE_NATIVE_SIDECARS": env} if env else {}))
            assert (await facts(server, tmp_path)).native_sidecars is native


async def test_other_meshes_and_what_stands_for_kube_proxy(server: ApiServer, tmp_path: Path) -> None:
    make(server, "DaemonSet", "cilium", "kube-system")
    make(server, "DaemonSet", "ztunnel", "istio-system")
    make(server, "DaemonSet", "istio-cni-node", "istio-system")
    make(server, "ConfigMap", "cilium-config", "kube-system", data={"kube-proxy-replacement": "true"})
    make(server, "Namespace", "linkerd")
    found = await facts(server, tmp_path)
    assert found.cilium
    assert found.linkerd
    assert found.ambient
    assert found.istio_cni
    assert found.proxy_mode == "replaced by Cilium"
    assert "ambient only" in (lacks(found, istio=True) or "")


async def test_what_may_not_be_read_is_unknown_and_told(server: ApiServer, tmp_path: Path) -> None:
    hook(server, "istio-sidecar-injector")
    server.rules = []
    found = await facts(server, tmp_path)
    assert found.istio is None
    assert found.nodes is None
    assert "mutatingwebhookconfigurations" in found.unknown["Istio's injector"]
    assert "not known" in (lacks(found, istio=True) or "")
    assert lacks(found, istio=False) is None


async def test_an_istio_that_serves_older_versions_only(server: ApiServer, tmp_path: Path) -> None:
    for kind, resource in list(server.resources.items()):
        if resource.group == "networking.istio.io":
            server.resources[kind] = type(resource)(
                resource.group, ("v1beta1",), resource.kind, resource.plural
            )
    hook(server, "istio-sidecar-injector")
    assert (await facts(server, tmp_path)).istio_api == "v1beta1"


async def test_the_doctor_finds_nothing_wrong(server: ApiServer, tmp_path: Path) -> None:
    hook(server, "istio-sidecar-injector")
    found = await doctor(server, tmp_path)
    assert found.ok
    names = [finding.name for finding in found.findings]
    assert names[:3] == ["access", "version", "rights: a namespace for every run"]
    (skipped,) = (f.text for f in found.findings if f.name == "skipped")
    assert skipped.startswith("the row with a Gateway: No controller has accepted a GatewayClass.")
    server.store.create(gateway_class("istio-waypoint"))
    server.store.create(gateway_class("cilium"))
    server.store.create(gateway_class("istio"))
    found = await doctor(server, tmp_path)
    assert found.facts.gateway_classes == ("istio", "cilium")
    assert "skipped" not in {f.name for f in found.findings}


async def test_the_doctor_says_whether_a_namespace_may_be_used(server: ApiServer, tmp_path: Path) -> None:
    make(server, "Namespace", "shop")
    make(server, "Namespace", "trial", labels={USE: "true"})
    make(server, "Namespace", "left", labels=run_labels("r1"))
    said = {}
    for name in ("shop", "trial", "left", "none"):
        found = await doctor(server, tmp_path, name)
        said[name] = next((f.ok, f.fix) for f in found.findings if f.name == "namespace")
    assert said == {
        "shop": (False, f"Let it be used: kubectl label namespace shop {USE}=true"),
        "trial": (True, ""),
        "left": (False, "Remove it: whichpod k8s down --run r1"),
        "none": (None, ""),
    }
    server.rules = []
    found = await doctor(server, tmp_path, "shop")
    assert next(f.ok for f in found.findings if f.name == "namespace") is None


async def test_the_doctor_names_missing_rights_and_what_is_skipped(server: ApiServer, tmp_path: Path) -> None:
    server.rules = [
        {"verbs": ["get", "list"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["create"], "apiGroups": ["*"], "resources": ["deployments", "jobs", "configmaps"]},
    ]
    found = await doctor(server, tmp_path, "trial")
    assert not found.ok
    texts = {finding.name: (finding.ok, finding.text, finding.fix) for finding in found.findings}
    ok, text, fix = texts["rights: rows"]
    assert ok is False
    assert text.startswith("missing: patch, delete: configmaps; create, patch, delete: services; ")
    assert fix.startswith("kubectl apply -f deploy/rbac.yaml")
    rules = next(finding.rules for finding in found.findings if finding.name == "rights: rows")
    assert '- {apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch", "delete"]}' in rules
    granted = [rule for said in rules for rule in yaml.safe_load(said)]
    server.rules += granted
    again = await doctor(server, tmp_path, "trial")
    assert next(finding.ok for finding in again.findings if finding.name == "rights: rows")
    assert texts["rights: port-forward"][0] is False
    skipped = [finding.text for finding in found.findings if finding.name == "skipped"]
    assert skipped[0].startswith("rows with sidecars: The cluster has no Istio")
    assert "rights: a namespace for every run" not in texts


async def test_an_old_cluster_is_told(tmp_path: Path) -> None:
    with ApiServer(version="1.24") as server:
        found = await doctor(server, tmp_path)
    version = next(f for f in found.findings if f.name == "version")
    assert version.ok is None
    assert "older" in version.text


async def test_rights_are_asked_for_as_they_are_used(server: ApiServer, tmp_path: Path) -> None:
    await doctor(server, tmp_path, "trial")
    asked = {
        (a["verb"], a["resource"], a.get("subresource", ""))
        for r in server.requests
        if r.path.endswith("selfsubjectaccessreviews")
        for a in [r.body["spec"]["resourceAttributes"]]
    }
    for request in needed("trial"):
        if not request.kind.group.endswith(".istio.io"):
            assert (request.verb, request.kind.plural, request.subresource) in asked
