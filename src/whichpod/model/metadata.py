"""Metadata that a user gives, checked before anything starts."""

from __future__ import annotations

import base64
import binascii
import re

from whichpod.model.errors import UsageError

_KEY = re.compile(r"[0-9a-z_.\-]+")
_TRANSPORTS = (
    "connection", "content-length", "content-type", "host", "keep-alive", "proxy-connection", "te",
    "transfer-encoding", "upgrade", "user-agent",
)  # fmt: skip
"""Dropped by gRPC without a word, or forbidden in HTTP/2 (RFC 9113, 8.2.2)."""
_VALUE = re.compile(r"[\x20-\x7e]*")


def wire_metadata(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str | bytes], ...]:
    """Metadata as gRPC takes it; values of `-bin` keys are given in base64. Raises UsageError.

    Source: gRPC over HTTP/2, "Custom-Metadata": keys are lower case, grpc- is reserved, values are
    printable ASCII.
    """
    found: list[tuple[str, str | bytes]] = []
    for key, value in pairs:
        if not _KEY.fullmatch(key) or key == "-bin":
            raise UsageError(
                f"The metadata key {key!r} is not allowed.", fix="Use a-z, 0-9, '-', '_' and '.'."
            )
        if key.startswith("grpc-"):
            raise UsageError(
                f"The metadata key {key} is gRPC's own.", fix="Keys that start with grpc- are reserved."
            )
        if key in _TRANSPORTS:
            raise UsageError(
                f"The metadata key {key} is the transport's own.",
                fix="Use --authority." if key == "host" else "Use another key, such as x-" + key + ".",
            )
        if key.endswith("-bin"):
            try:
                found.append((key, base64.b64decode(value, validate=True)))
            except (binascii.Error, ValueError):
                raise UsageError(
                    f"The metadata {key} is not base64.", fix="Values of -bin keys are."
                ) from None
        elif not _VALUE.fullmatch(value):
            raise UsageError(f"The metadata {key} holds more than printable ASCII.", fix=f"Use {key}-bin.")
        else:
            found.append((key, value))
    return tuple(found)
