"""The server's TLS."""

from __future__ import annotations

import grpc

from whichpod.echo.settings import ServerSettings
from whichpod.model.pem import read_pair, read_roots


def credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """What TLS needs, or None without it. Raises UsageError naming the file at fault."""
    if not settings.tls_cert:
        return None
    cert, key = read_pair(settings.tls_cert, settings.tls_key, ("--tls-cert", "--tls-key"))
    ca = read_roots(settings.tls_client_ca, "--tls-client-ca") if settings.tls_client_ca else None
    return grpc.ssl_server_credentials(
        [(key, cert)], root_certificates=ca, require_client_auth=ca is not None
    )
