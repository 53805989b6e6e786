"""Metadata, and the forms that Kubernetes asks of names.

Source: kubernetes.io, "Object Names and IDs"; RFC 1123 and RFC 1035 for labels; RFC 6335 for port names.
"""

from __future__ import annotations

import re

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Meta

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PORT = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_FORMS = {
    "label": (_LABEL, 63, "lower-case letters, digits and '-'"),
    "subdomain": (_SUBDOMAIN, 253, "lower-case letters, digits, '-' and '.'"),
    "service": (_SERVICE, 63, "lower-case letters, digits and '-', a letter first"),
    "port": (_PORT, 15, "lower-case letters, digits and single '-', with a letter in it"),
    "label value": (_LABEL_VALUE, 63, "letters, digits, '-', '_' and '.'"),
    "variable": (_ENV, 253, "letters, digits, '-', '_' and '.', no digit first"),
}


def well_formed(text: str, form: str) -> bool:
    """Whether a text has one of the forms above."""
    pattern, most, _ = _FORMS[form]
    return len(text) <= most and pattern.fullmatch(text) is not None


def check_name(fields: Fields, field: str, text: str, form: str) -> None:
    """Records an error when a name isn't of its form. An empty one was complained about elsewhere."""
    if text and not well_formed(text, form):
        _, most, allowed = _FORMS[form]
        fields.fail(field, f"{text!r} is no valid name.", fix=f"Use {allowed}, {most} characters at most.")


def read_meta(top: Fields, form: str) -> Meta:
    """Reads `metadata`."""
    fields = top.child("metadata", required=True)
    if fields is None:
        return Meta("")
    name = fields.text("name", required=True)
    check_name(fields, "name", name, form)
    namespace = fields.text("namespace", "default")
    check_name(fields, "namespace", namespace, "label")
    created = fields.text("creationTimestamp")
    meta = Meta(name, namespace, labels(fields, "labels"), fields.strings("annotations"), created)
    read_metadata(fields)
    return meta


def read_metadata(fields: Fields, *known: str) -> None:
    """Reads the rest of `metadata`: `known`, and what the API server adds, which is there when YAML was taken
    from a cluster."""
    fields.silent("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "selfLink")
    fields.silent("generateName", "deletionTimestamp", "deletionGracePeriodSeconds", *known)
    fields.without_effect("finalizers", "ownerReferences")
    fields.done()


def labels(fields: Fields, name: str) -> dict[str, str]:
    """Reads labels or a selector made of labels."""
    found = fields.strings(name)
    for key, value in found.items():
        if not well_formed(value, "label value"):
            fields.fail(f"{name}.{key}", f"{value!r} is no valid label value.")
    return found
