"""Small pieces of Envoy's configuration in its JSON form."""

from __future__ import annotations

import json
from typing import Any

JsonObject = dict[str, Any]
MOST = 2**32 - 1
UNIX = "unix:"
"""Begins the address of a Unix socket."""
_SOL_SOCKET, _SO_MARK = 1, 36
_EXTENSIONS = "type.googleapis.com/envoy.extensions."


class Written(dict[str, Any]):
    """A JSON object whose text is made once, since many share it. It must not be changed."""

    __slots__ = ("text",)

    def __init__(self, value: JsonObject, text: str = "") -> None:
        super().__init__(value)
        self.text = text or json.dumps(value, sort_keys=True)


def typed(kind: str, **fields: Any) -> JsonObject:
    """An Any of `envoy.extensions.KIND`."""
    return {"@type": _EXTENSIONS + kind, **fields}


def duration(seconds: float) -> str:
    """A protobuf Duration."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def socket(address: str, port: int) -> JsonObject:
    """An Address."""
    return {"socket_address": {"address": address, "port_value": port}}


def marked(mark: int) -> JsonObject:
    """A BindConfig that sets SO_MARK on a socket before it connects."""
    option = {"level": _SOL_SOCKET, "name": _SO_MARK, "int_value": mark, "state": "STATE_PREBIND"}
    return {"socket_options": [option]}


def ads() -> JsonObject:
    """A ConfigSource: over the ADS stream, waited for without a limit, as istiod sets it."""
    return {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}


def split_address(address: str) -> tuple[str, int]:
    """HOST:PORT or [HOST]:PORT in two."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
