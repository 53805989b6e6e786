"""From manifests as they are written to the objects that a run applies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from whichpod.cluster.kubernetes.harden import Level, harden_container, harden_pod, pod_templates
from whichpod.cluster.kubernetes.names import HOLD, INJECT, PROXY_CONFIG, REVISION, creator, run_labels
from whichpod.cluster.kubernetes.rehome import Document, Move, namespace_of
from whichpod.manifest.meta import well_formed
from whichpod.manifest.nodes import compose, plain
from whichpod.model.errors import UsageError

IMAGE = "whichpod"
"""How manifests call the image of whichpod itself, whatever its name is in a cluster's registry."""
GATEWAY_CLASS = "whichpod"
"""How manifests call the cluster's own GatewayClass, whatever its name is."""
CLUSTER_DNS = "CLUSTER_DNS_HOST"
"""The variable in which a container is told the cluster's DNS server."""
INJECTION = "istio-injection"
ENFORCE = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: the level that its pods must keep to (kubernetes.io, Pod Security Admission)."""
SERVER_RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}
"""Of an echo server: a quota may refuse pods that don't say. No CPU limit: being throttled is measured as
latency."""

_CLUSTER_WIDE = frozenset(
    {"APIService", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "GatewayClass",
     "IngressClass", "MutatingWebhookConfiguration", "Node", "PersistentVolume", "PriorityClass",
     "RuntimeClass", "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
     "ValidatingWebhookConfiguration"}
)  # fmt: skip
_FIRST = ("Namespace", "ServiceAccount", "Role", "RoleBinding", "Secret", "ConfigMap", "Service")
_LAST = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


def read_documents(*files: Path) -> list[Document]:
    """The objects in YAML or JSON files as they are written, in their order; of a `kind: List`, its items.

    Raises ManifestError (file and line) for what is no YAML or no object, UsageError for a file that can't be
    read, MissingExtraError without PyYAML.
    """
    found: list[Document] = []
    for file in files:
        for node in compose(_text(file), str(file)):
            document = plain(node)
            items = document.get("items") if isinstance(document, dict) else None
            if isinstance(items, list) and document.get("kind") == "List":
                found += (_checked(item, str(file), node.where.line) for item in items)
            else:
                found.append(_checked(document, str(file), node.where.line))
    return found


def dress(
    documents: Iterable[Mapping[str, Any]],
    *,
    run: str,
    namespace: str,
    image: str,
    pull_policy: str = "",
    istio: bool,
    native_sidecars: bool = False,
    revision: str = "",
    cluster_dns: str = "",
    gateway_class: str = "",
    pods: int | None = None,
) -> list[Document]:
    """The objects as `run` applies them, in the order of application. What is given is not changed.

    All of them go to `namespace`, with the names by which they know one another, get the run's labels (their
    pods too; selectors stay as they are) and say who made them. Containers of the image `whichpod` get
    `image`, `pull_policy` unless it is empty, and no more rights than they need; the variable
    CLUSTER_DNS_HOST becomes `cluster_dns`, an IP address, unless that is empty; so does the GatewayClass
    `whichpod` become `gateway_class`. With `pods`, Deployments of
    that image have so many replicas, save those of a single one, where that is the point.

    `istio`: whether the cluster has it. With it every pod says for itself whether it wants a sidecar, as its
    namespace would have decided, and of `revision`, where there is no default one; sidecars that aren't
    native hold their pods' containers until they are ready. Without, Istio's own objects are left out.

    Namespaces are left out: see `namespace_document`. Dressing the result again changes nothing.
    Raises UsageError for objects that aren't a namespace's, and for two of one name.
    """
    given = list(documents)
    _check(given, namespace, pods)
    labels, annotations = run_labels(run), creator()
    injection = {
        d["metadata"]["name"]: str((d["metadata"].get("labels") or {}).get(INJECTION, ""))
        for d in given
        if d["kind"] == "Namespace"
    }
    kept = [d for d in given if d["kind"] != "Namespace" and (istio or not _of_istio(d))]
    move = Move(kept, namespace)
    found = []
    for document in kept:
        own = move.moved(document)
        _mark(own["metadata"], labels, annotations)
        if (
            own["kind"] == "Gateway"
            and own["spec"].get("gatewayClassName") == GATEWAY_CLASS
            and gateway_class
        ):
            own["spec"]["gatewayClassName"] = gateway_class
        for pod in pod_templates(own):
            metadata = pod.get("metadata") or {}
            pod["metadata"] = metadata
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
            if istio:
                _decide_sidecar(metadata, injection.get(namespace_of(document), ""), revision)
                if not native_sidecars and metadata["labels"][INJECT] == "true":
                    metadata["annotations"] = {PROXY_CONFIG: HOLD} | (metadata.get("annotations") or {})
            if _dress_pod(pod["spec"], image, pull_policy, cluster_dns) and pods is not None:
                _scale(own, pods)
        found.append(own)
    _check_names(found)
    return sorted(found, key=_turn)


def namespace_document(name: str, *, run: str, level: Level = "restricted") -> Document:
    """A run's own namespace. `level` is what its pods must keep to: see `harden.pod_security`.

    It says nothing about sidecars, neither `istio-injection` nor `istio.io/rev`: with `istio-injection:
    disabled` the injector would not look at the pods' own labels either (Istio, Installing the sidecar).
    """
    _check_namespace(name)
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**run_labels(run), ENFORCE: level},
            "annotations": creator(),
        },
    }


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as e:
        raise UsageError(f"{file} can't be read: {e.strerror or e}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text.", fix="Is it a manifest?") from None


def _checked(document: Any, file: str, line: int) -> Document:
    if isinstance(document, dict) and all(isinstance(document.get(k), str) for k in ("apiVersion", "kind")):
        metadata = document.get("metadata")
        if isinstance(metadata, dict) and isinstance(metadata.get("name"), str):
            return document
    raise UsageError(
        f"{file}: what begins in line {line} is no Kubernetes object.",
        fix="It needs apiVersion, kind and metadata.name.",
    )


def _check(documents: list[Mapping[str, Any]], namespace: str, pods: int | None) -> None:
    _check_namespace(namespace)
    if pods is not None and pods < 0:
        raise UsageError(f"{pods} pods are not possible.", fix="Give 0 or more.")
    for document in documents:
        if document["kind"] in _CLUSTER_WIDE:
            raise UsageError(
                f"{_title(document)} belongs to the whole cluster, and a run makes only what its namespace "
                "holds.",
                fix="Leave it out, or apply it yourself.",
            )


def _check_namespace(name: str) -> None:
    if not name or not well_formed(name, "label"):
        raise UsageError(f"{name!r} can't name a namespace.", fix="Use lower-case letters, digits and '-'.")


def _check_names(documents: list[Document]) -> None:
    seen = set()
    for document in documents:
        name = (document["apiVersion"].rpartition("/")[0], document["kind"], document["metadata"]["name"])
        if name in seen:
            raise UsageError(
                f"{_title(document)} is there twice.",
                fix="A run has one namespace, whichever the manifests name: give them different names.",
            )
        seen.add(name)


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def _of_istio(document: Mapping[str, Any]) -> bool:
    return str(document["apiVersion"]).partition("/")[0].endswith(".istio.io")


def _turn(document: Document) -> int:
    kind = document["kind"]
    if kind in _FIRST:
        return _FIRST.index(kind)
    return len(_FIRST) + (1 + _LAST.index(kind) if kind in _LAST else 0)


def _mark(metadata: dict[str, Any], labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}


def _decide_sidecar(metadata: dict[str, Any], by_namespace: str, revision: str) -> None:
    labels = metadata["labels"]
    asked = labels.get(INJECT) or (metadata.get("annotations") or {}).get(INJECT)
    wanted = by_namespace != "disabled" and (asked == "true" if asked else by_namespace == "enabled")
    labels[INJECT] = "true" if wanted else "false"
    if wanted and revision:
        labels.setdefault(REVISION, revision)


def _dress_pod(spec: dict[str, Any], image: str, pull_policy: str, cluster_dns: str) -> bool:
    """Returns whether the pod has a container of whichpod's image."""
    harden_pod(spec)
    ours = False
    for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
        if container.get("image") in (IMAGE, image):
            ours = True
            container["image"] = image
            if pull_policy:
                container["imagePullPolicy"] = pull_policy
            harden_container(container, SERVER_RESOURCES)
        for variable in container.get("env") or ():
            if variable.get("name") == CLUSTER_DNS and cluster_dns:
                variable.clear()
                variable.update(name=CLUSTER_DNS, value=cluster_dns)
    return ours


def _scale(document: Document, pods: int) -> None:
    if document["kind"] == "Deployment" and document["spec"].get("replicas", 1) != 1:
        document["spec"]["replicas"] = pods
