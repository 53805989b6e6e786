"""Reads ConfigMaps and Secrets (kubernetes.io, API reference v1)."""

from __future__ import annotations

import base64
import binascii

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import ConfigMap, Secret
from whichpod.manifest.meta import read_meta


def read_config_map(top: Fields) -> ConfigMap:
    """Reads a ConfigMap. Binary data is kept where it is UTF-8 text."""
    meta = read_meta(top, "subdomain")
    data = top.strings("data")
    for key, coded in top.strings("binaryData").items():
        try:
            data[key] = base64.b64decode(coded, validate=True).decode()
        except (binascii.Error, ValueError):
            top.fail(f"binaryData.{key}", "is not base64 of UTF-8 text.")
    _check(top, "data", data)
    return ConfigMap(meta, top.where, data)


def read_secret(top: Fields) -> Secret:
    """Reads a Secret; `stringData` beats `data`, as the API server has it."""
    meta = read_meta(top, "subdomain")
    data = {}
    for key, coded in top.strings("data").items():
        try:
            data[key] = base64.b64decode(coded, validate=True).decode(errors="surrogateescape")
        except (binascii.Error, ValueError):
            top.fail(f"data.{key}", "is not base64.", fix="Text goes to stringData.")
    data |= top.strings("stringData")
    top.silent("type")
    _check(top, "data", data)
    return Secret(meta, top.where, data)


def _check(top: Fields, field: str, data: dict[str, str]) -> None:
    for key in data:
        if "/" in key or key in ("", ".", ".."):
            top.fail(field, f"has the key {key!r}, which is no file name.")
    top.without_effect("immutable")
