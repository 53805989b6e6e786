"""The xDS bootstrap that an xds: target needs, checked before anything starts.

Source: gRFC A27, "xDS-Based Global Load Balancing": GRPC_XDS_BOOTSTRAP names a file,
GRPC_XDS_BOOTSTRAP_CONFIG holds the content, and the file goes first.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from whichpod.model.errors import UsageError

FILE, CONTENT = "GRPC_XDS_BOOTSTRAP", "GRPC_XDS_BOOTSTRAP_CONFIG"


def check_bootstrap(target: str) -> None:
    """Raises UsageError where there is no bootstrap, or none that names a control plane."""
    file, text = os.environ.get(FILE), os.environ.get(CONTENT)
    where = f"{FILE} {file}" if file else CONTENT
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
            raise UsageError(f"{where} can't be read: {why}.", fix="Name a bootstrap file.") from None
    if not text:
        raise UsageError(
            f"{target} needs an xDS bootstrap.",
            fix=f"Set {FILE} to its file, or {CONTENT} to its content.",
        )
    try:
        servers = json.loads(text)["xds_servers"]
        uris = [server["server_uri"] for server in servers]
    except (json.JSONDecodeError, KeyError, TypeError):
        uris = []
    if not uris:
        raise UsageError(
            f"{where} is no xDS bootstrap: it names no control plane.",
            fix='It is JSON with "xds_servers": [{"server_uri": "HOST:PORT", ...}] and a "node".',
        )
