"""Reads volumes (kubernetes.io, API reference, Volume), and says which files are in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Deployment, Holder, Volume, VolumeMount, VolumeSource
from whichpod.manifest.meta import check_name
from whichpod.manifest.pod_fields import read_field

_KINDS = ("configMap", "secret", "emptyDir", "downwardAPI", "projected", "persistentVolumeClaim", "ephemeral")
_EMPTY = "is taken as an empty folder, which is gone when its pod is."


def read_mount(m: Fields) -> VolumeMount:
    """Reads a volumeMount."""
    found = VolumeMount(
        m.text("name", required=True),
        m.text("mountPath", required=True),
        m.text("subPath"),
        m.flag("readOnly"),
    )
    m.without_effect("mountPropagation", "recursiveReadOnly")
    m.done()
    return found


def read_volume(v: Fields) -> Volume:
    """Reads a volume. Claims on storage become empty folders."""
    name = v.text("name", required=True)
    check_name(v, "name", name, "label")
    given = [k for k in _KINDS if k in v]
    sources: tuple[VolumeSource, ...] = ()
    if config_map := v.child("configMap"):
        sources = (_held(config_map, "ConfigMap"),)
    if secret := v.child("secret"):
        sources = (_held(secret, "Secret", of="secretName"),)
    if downward := v.child("downwardAPI"):
        sources = (_downward(downward),)
    if projected := v.child("projected"):
        sources = tuple(s for p in projected.children("sources") if (s := _projected(p)))
        projected.without_effect("defaultMode")
        projected.done()
    if empty := v.child("emptyDir"):
        empty.without_effect("medium", "sizeLimit")
        empty.done()
    for claim in ("persistentVolumeClaim", "ephemeral"):
        if claim in v:
            v.note(claim, _EMPTY)
        v.silent(claim)
    if not given:
        others = [k for k in v.node.items if k != "name"]
        kind, known = others[0] if others else "kind of volume", ", ".join(_KINDS)
        v.silent(*others)
        v.unsupported(kind, "is not supported.", fix=f"Known: {known}.", instead="The volume is empty.")
    elif len(given) > 1:
        v.fail(given[1], f"and {given[0]} can't both be given.")
    v.done()
    return Volume(name, sources)


def read_claim_template(c: Fields) -> Volume:
    """Reads one of a StatefulSet's volumeClaimTemplates, which is an empty folder here."""
    name = ""
    if meta := c.child("metadata", required=True):
        name = meta.text("name", required=True)
        meta.silent(*meta.node.items)
    c.silent(*c.node.items)
    c.findings.note(c.where, f"{c.subject}: {c.path} {_EMPTY}")
    return Volume(name)


def _held(source: Fields, kind: Holder, of: str = "name") -> VolumeSource:
    items = []
    for item in source.children("items"):
        items.append((item.text("key", required=True), _path(item)))
        item.without_effect("mode")
        item.done()
    name = source.text(of, required=True)
    found = VolumeSource(kind, name, tuple(items), source.flag("optional"))
    source.without_effect("defaultMode")
    source.done()
    return found


def _downward(source: Fields) -> VolumeSource:
    items = []
    for item in source.children("items"):
        path = _path(item)
        if field := read_field(item, "fieldRef", whole=True):
            items.append((field, path))
        item.left_out("resourceFieldRef")
        item.without_effect("mode")
        item.done()
    source.without_effect("defaultMode")
    source.done()
    return VolumeSource("DownwardAPI", items=tuple(items))


def _projected(p: Fields) -> VolumeSource | None:
    found = None
    if config_map := p.child("configMap"):
        found = _held(config_map, "ConfigMap")
    if secret := p.child("secret"):
        found = _held(secret, "Secret")
    if downward := p.child("downwardAPI"):
        found = _downward(downward)
    p.without_effect("serviceAccountToken", "clusterTrustBundle", "podCertificate")
    p.done()
    return found


def _path(item: Fields) -> str:
    path = item.text("path", required=True)
    if ".." in path.split("/") or path.startswith("/"):
        item.fail("path", "must be relative and without '..'.")
    return path


def content(
    bundle: Bundle, deployment: Deployment, volume: Volume, field: Callable[[str], str]
) -> dict[str, str]:
    """The files of a volume by their paths. `field` gives the value of a pod's field.

    Raises ManifestError for a key that a ConfigMap or Secret lacks.
    """
    found: dict[str, str] = {}
    for source in volume.sources:
        if source.kind == "DownwardAPI":
            found |= {path: _field(deployment, key, field) for key, path in source.items}
            continue
        held = bundle.held(source.kind, source.name, deployment.meta.namespace)
        if held is None:  # optional and absent
            continue
        found |= _chosen(held.data, source) if source.items else held.data
        absent = [key for key, _ in source.items if key not in held.data]
        if absent and not source.optional:
            raise held.where.error(
                f"The {source.kind} {source.name} has no key {absent[0]!r}, which the volume "
                f"{volume.name!r} takes a file from.",
                fix=f"It has {', '.join(held.data) or 'none'}.",
            )
    return found


def _chosen(data: Mapping[str, str], source: VolumeSource) -> dict[str, str]:
    return {path: data[key] for key, path in source.items if key in data}


def _field(deployment: Deployment, path: str, field: Callable[[str], str]) -> str:
    every = {"metadata.labels": deployment.pod_labels, "metadata.annotations": deployment.pod_annotations}
    if path not in every:
        return field(path)
    return "".join(f'{key}="{_quoted(value)}"\n' for key, value in sorted(every[path].items()))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
