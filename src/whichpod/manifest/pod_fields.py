"""Fields of a pod that its containers can ask for (kubernetes.io, "Downward API")."""

from __future__ import annotations

import re

from whichpod.manifest.fields import Fields

FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_KEYED = re.compile(r"metadata\.(labels|annotations)\['[^']+'\]")


def read_field(of: Fields, name: str, *, whole: bool = False) -> str:
    """Reads a fieldRef and returns its path; `whole` allows all labels and annotations at once."""
    reference = of.child(name)
    if reference is None:
        return ""
    path = reference.text("fieldPath", required=True)
    known = (*FIELD_PATHS, "metadata.labels", "metadata.annotations") if whole else FIELD_PATHS
    if path and path not in known and not _KEYED.fullmatch(path):
        named = ", ".join((*known, "metadata.labels['KEY']", "metadata.annotations['KEY']"))
        reference.fail("fieldPath", f"{path!r} is not understood.", fix=f"Known: {named}.")
    if reference.text("apiVersion", "v1") != "v1":
        reference.fail("apiVersion", "must be v1.")
    reference.done()
    return path
