"""The client's TLS."""

from __future__ import annotations

import ssl

from whichpod.load.conn import Tls as ClientTls
from whichpod.model.pem import read_client
from whichpod.model.target import Tls


def client_tls(tls: Tls, name: str) -> ClientTls:
    """TLS with ALPN h2 (RFC 9113, section 3.2) for a server that is expected to be `name`. Raises UsageError
    naming the file that is missing or isn't PEM."""
    read_client(tls)
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    context.set_alpn_protocols(["h2"])
    return context, tls.server_name or name
