"""The server's TLS."""

from __future__ import annotations

import ssl

from whichpod.echo.settings import ServerSettings
from whichpod.model.pem import read_pair, read_roots


def context(settings: ServerSettings) -> ssl.SSLContext | None:
    """TLS with ALPN h2 (RFC 9113, section 3.2), or None without it. Raises UsageError naming the file at
    fault."""
    if not settings.tls_cert:
        return None
    read_pair(settings.tls_cert, settings.tls_key, ("--tls-cert", "--tls-key"))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # What HTTP/2 wants of TLS 1.2 (section 9.2): no compression, no renegotiation, ephemeral keys, AEAD.
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    made.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    made.load_cert_chain(settings.tls_cert, settings.tls_key)
    if settings.tls_client_ca:
        read_roots(settings.tls_client_ca, "--tls-client-ca")
        made.load_verify_locations(settings.tls_client_ca)
        made.verify_mode = ssl.CERT_REQUIRED
    made.set_alpn_protocols(["h2"])
    return made
