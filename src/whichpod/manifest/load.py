"""Reads manifests: files, folders and text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.check import check
from whichpod.manifest.destination_rules import read_destination_rule
from whichpod.manifest.fields import Fields, Findings
from whichpod.manifest.nodes import Mapping, Node, Scalar, Sequence, compose, plain
from whichpod.manifest.peer_authentications import read_peer_authentication
from whichpod.manifest.services import read_config_map, read_namespace, read_service
from whichpod.manifest.virtual_services import read_virtual_service
from whichpod.manifest.workloads import read_deployment
from whichpod.model.errors import UsageError

SUFFIXES = (".yaml", ".yml", ".json")
_NETWORKING = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
_SECURITY = ("security.istio.io/v1", "security.istio.io/v1beta1")

_READERS: dict[str, tuple[tuple[str, ...], str, Callable[[Fields], Any]]] = {
    "Deployment": (("apps/v1",), "deployments", read_deployment),
    "Service": (("v1",), "services", read_service),
    "ConfigMap": (("v1",), "config_maps", read_config_map),
    "Namespace": (("v1",), "namespaces", read_namespace),
    "DestinationRule": (_NETWORKING, "destination_rules", read_destination_rule),
    "VirtualService": (_NETWORKING, "virtual_services", read_virtual_service),
    "PeerAuthentication": (_SECURITY, "peer_authentications", read_peer_authentication),
}
_IDLE = {
    "ServiceAccount": ("v1",),
    "PodDisruptionBudget": ("policy/v1",),
}


def load(*sources: Path | str) -> Bundle:
    """Reads manifests as one bundle. A Path is a file or a folder (its .yaml, .yml and .json files, not
    those of folders in it, as `kubectl apply -f` does); a str is YAML text.

    Raises ManifestError (file and line of the first error, and how many there are), UsageError for a path
    that can't be read, MissingExtraError without PyYAML.
    """
    texts: list[tuple[str, str]] = []
    for source in sources:
        if isinstance(source, str):
            texts.append(("manifest", source))
        else:
            texts.extend((str(path), _read(path)) for path in _files(source))
    return _load(texts)


def load_text(text: str, file: str = "manifest") -> Bundle:
    """Reads YAML text as one bundle; `file` is what errors call it. Raises as `load` does."""
    return _load([(file, text)])


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


def _load(texts: list[tuple[str, str]]) -> Bundle:
    findings = Findings()
    found: dict[str, list[Any]] = {}
    documents = []
    for file, text in texts:
        for document in compose(text, file):
            for node in _unlisted(document):
                _object(node, findings, found)
                documents.append(plain(node))
    findings.raise_first()
    bundle = Bundle(**{field: tuple(objects) for field, objects in found.items()})
    check(bundle, findings)
    findings.raise_first()
    return Bundle(
        **{field: tuple(objects) for field, objects in found.items()},
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


def _object(node: Node, findings: Findings, found: dict[str, list[Any]]) -> None:
    if not isinstance(node, Mapping):
        findings.fail(node.where, f"a manifest must be an object, not {node.kind}.")
        return
    kind = _plain(node, "kind")
    metadata = node.items.get("metadata")
    name = _plain(metadata, "name") if isinstance(metadata, Mapping) else ""
    fields = Fields(node, findings, f"{kind} {name}".strip() or "manifest")
    version = fields.text("apiVersion", required=True)
    fields.text("kind", required=True)
    if not version or not kind:
        return
    if kind in _IDLE and version in _IDLE[kind]:
        findings.note(node.where, f"{fields.subject}: has no effect in the lab.")
        return
    if kind not in _READERS:
        known = ", ".join((*_READERS, *_IDLE))
        fields.fail("kind", f"{kind} is not understood.", fix=f"Known kinds: {known}.")
        return
    versions, group, read = _READERS[kind]
    if version not in versions:
        fields.fail(
            "apiVersion", f"{version} is not understood for a {kind}.", fix=f"Known: {', '.join(versions)}."
        )
        return
    found.setdefault(group, []).append(read(fields))
    fields.silent("status")
    fields.done()
