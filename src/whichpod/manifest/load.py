"""Reads manifests: files, folders and text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.check import check
from whichpod.manifest.data import read_config_map, read_secret
from whichpod.manifest.destination_rules import read_destination_rule
from whichpod.manifest.environment import filled
from whichpod.manifest.fields import Fields, Findings
from whichpod.manifest.grpc_routes import read_grpc_route, virtual_services
from whichpod.manifest.kustomize import ORIGIN, build, is_kustomization
from whichpod.manifest.nodes import Mapping, Node, Scalar, Sequence, compose, plain
from whichpod.manifest.others import FIXES, NO_EFFECT, NOTED, NOTED_GROUPS, OWNED, REFUSED
from whichpod.manifest.peer_authentications import read_peer_authentication
from whichpod.manifest.placement import spread
from whichpod.manifest.services import read_namespace, read_node, read_service
from whichpod.manifest.virtual_services import read_virtual_service
from whichpod.manifest.workloads import (
    read_bare_pod,
    read_daemon_set,
    read_deployment,
    read_replica_set,
    read_stateful_set,
)
from whichpod.model.errors import UsageError

SUFFIXES = (".yaml", ".yml", ".json")
_APPS = ("apps/v1",)
_NETWORKING = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
_GATEWAY_API = ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha2")
_SECURITY = ("security.istio.io/v1", "security.istio.io/v1beta1")

_READERS: dict[str, tuple[tuple[str, ...], str, Callable[[Fields], Any]]] = {
    "Deployment": (_APPS, "deployments", read_deployment),
    "StatefulSet": (_APPS, "deployments", read_stateful_set),
    "DaemonSet": (_APPS, "deployments", read_daemon_set),
    "ReplicaSet": (_APPS, "deployments", read_replica_set),
    "Pod": (("v1",), "deployments", read_bare_pod),
    "Service": (("v1",), "services", read_service),
    "ConfigMap": (("v1",), "config_maps", read_config_map),
    "Secret": (("v1",), "secrets", read_secret),
    "Namespace": (("v1",), "namespaces", read_namespace),
    "Node": (("v1",), "nodes", read_node),
    "DestinationRule": (_NETWORKING, "destination_rules", read_destination_rule),
    "VirtualService": (_NETWORKING, "virtual_services", read_virtual_service),
    "GRPCRoute": (_GATEWAY_API, "grpc_routes", read_grpc_route),
    "PeerAuthentication": (_SECURITY, "peer_authentications", read_peer_authentication),
}


def load(*sources: Path | str, lenient: bool = False) -> Bundle:
    """Reads manifests as one bundle. A Path is a file or a folder (its .yaml, .yml and .json files, not
    those of folders in it, as `kubectl apply -f` does; one with a kustomization is built). A str is YAML.

    `lenient`: a kind or field that is not understood is noted and left out, instead of being an error.

    Raises ManifestError (file and line of the first error, and how many there are), UsageError for a path
    that can't be read or built, MissingToolError for a kustomization without kubectl, MissingExtraError
    without PyYAML.
    """
    texts: list[tuple[str, str]] = []
    for source in sources:
        if isinstance(source, str):
            texts.append(("manifest", source))
        else:
            texts.extend(read_texts(source))
    return _load(texts, lenient)


def read_texts(*sources: Path) -> list[tuple[str, str]]:
    """The name and the YAML text of each file that `load` would read. Raises UsageError as it does."""
    texts: list[tuple[str, str]] = []
    for source in sources:
        if source.is_dir() and is_kustomization(source):
            texts.append((f"{source} (kustomize)", build(source)))
        else:
            texts.extend((str(path), _read(path)) for path in _files(source))
    return texts


def load_texts(texts: Iterable[tuple[str, str]], *, lenient: bool = False) -> Bundle:
    """Reads YAML texts, each with the name that errors call it by, as one bundle. Raises as `load` does."""
    return _load(texts, lenient)


def load_text(text: str, file: str = "manifest", *, lenient: bool = False) -> Bundle:
    """Reads YAML text as one bundle; `file` is what errors call it. Raises as `load` does."""
    return _load([(file, text)], lenient)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
    if not found:
        raise UsageError(f"{path} holds no manifests.", fix=f"Looked for {', '.join(SUFFIXES)} files.")
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UsageError(f"{path} can't be read: {e.strerror or e}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text.", fix="Is it a manifest?") from None


def _load(texts: Iterable[tuple[str, str]], lenient: bool) -> Bundle:
    findings = Findings(lenient=lenient)
    found: dict[str, list[Any]] = {}
    documents: list[Any] = []
    for file, text in texts:
        for document in compose(text, file):
            kept = [node for node in _unlisted(document) if _object(node, findings, found)]
            documents.extend(plain(node) for node in kept)
    findings.raise_first()
    bundle = Bundle(**{field: tuple(objects) for field, objects in found.items()})
    bundle = spread(filled(bundle, findings))
    routed = virtual_services(bundle.grpc_routes)
    bundle = replace(bundle, virtual_services=(*bundle.virtual_services, *routed))
    check(bundle, findings)
    findings.raise_first()
    return replace(
        bundle,
        notes=tuple(sorted(findings.notes, key=lambda n: (n.file, n.line))),
        documents=tuple(documents),
    )


def _unlisted(node: Node) -> Iterator[Node]:
    """The items of a `kind: List`, or the object itself."""
    if isinstance(node, Mapping) and _plain(node, "kind") == "List":
        items = node.items.get("items")
        if isinstance(items, Sequence):
            yield from items.items
            return
    yield node


def _plain(node: Mapping, name: str) -> str:
    item = node.items.get(name)
    return item.value if isinstance(item, Scalar) and isinstance(item.value, str) else ""


def _object(node: Node, findings: Findings, found: dict[str, list[Any]]) -> bool:
    """Reads an object; False for one that is left out."""
    if not isinstance(node, Mapping):
        findings.fail(node.where, f"a manifest must be an object, not {node.kind}.")
        return False
    kind = _plain(node, "kind")
    fields = Fields(node, findings, f"{kind} {_name(node)}".strip() or "manifest")
    version = fields.text("apiVersion", required=True)
    fields.text("kind", required=True)
    if not version or not kind:
        return False
    group = version.rpartition("/")[0]
    owner = _owner(node) if kind in OWNED else ""
    if owner:
        findings.note(node.where, f"{fields.subject}: is left out, since {owner} makes it.")
        return False
    said = NOTED.get((group, kind), NO_EFFECT if group in NOTED_GROUPS else None)
    if said is not None:
        if said:
            findings.note(node.where, f"{fields.subject}: {said}")
        return True
    if why := REFUSED.get((group, kind)):
        findings.unsupported(node.where, f"{fields.subject}: {why}", fix=FIXES.get(kind, ""))
        return False
    if kind not in _READERS:
        known = ", ".join((*_READERS, *(k for _, k in NOTED)))
        fields.unsupported("kind", f"{kind} is not understood.", fix=f"Known kinds: {known}.")
        return False
    versions, name, read = _READERS[kind]
    if version not in versions:
        fields.unsupported(
            "apiVersion", f"{version} is not understood for a {kind}.", fix=f"Known: {', '.join(versions)}."
        )
        return False
    if (object_ := read(fields)) is not None:
        found.setdefault(name, []).append(object_)
    fields.silent("status")
    fields.done()
    return True


def _name(node: Mapping) -> str:
    """An object's name, and the file that kustomize says it comes from."""
    metadata = node.items.get("metadata")
    if not isinstance(metadata, Mapping):
        return ""
    name, annotations = _plain(metadata, "name"), metadata.items.get("annotations")
    origin = _plain(annotations, ORIGIN) if isinstance(annotations, Mapping) else ""
    path = next((ln.partition(": ")[2] for ln in origin.splitlines() if ln.startswith("path: ")), "")
    return f"{name} ({path})" if path else name


def _owner(node: Mapping) -> str:
    """The controller that an object belongs to."""
    metadata = node.items.get("metadata")
    owners = metadata.items.get("ownerReferences") if isinstance(metadata, Mapping) else None
    for owner in owners.items if isinstance(owners, Sequence) else ():
        if isinstance(owner, Mapping):
            return f"{_plain(owner, 'kind')} {_plain(owner, 'name')}"
    return ""
