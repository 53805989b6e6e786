"""The server's TLS, checked before it starts: grpc would only fail every handshake."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import UsageError


def credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """What TLS needs, or None without it. Raises UsageError naming the file at fault."""
    if not settings.tls_cert:
        return None
    cert = _read(settings.tls_cert, "--tls-cert")
    key = _read(settings.tls_key, "--tls-key")
    ca = _read(settings.tls_client_ca, "--tls-client-ca") if settings.tls_client_ca else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password, so that nobody is asked for one on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except (ssl.SSLError, OSError) as e:
        raise UsageError(
            f"--tls-cert {settings.tls_cert} and --tls-key {settings.tls_key} don't go together: {_said(e)}.",
            fix="They must be PEM: a certificate chain, and the key of its first one without a password.",
        ) from None
    if ca is not None:
        try:
            context.load_verify_locations(cafile=settings.tls_client_ca)
        except (ssl.SSLError, OSError) as e:
            raise UsageError(
                f"--tls-client-ca {settings.tls_client_ca} has no certificate: {_said(e)}.",
                fix="It must be PEM.",
            ) from None
    return grpc.ssl_server_credentials(
        [(key, cert)], root_certificates=ca, require_client_auth=ca is not None
    )


def _read(file: str, option: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as e:
        raise UsageError(
            f"{option} {file} can't be read: {e.strerror}.", fix="Name a readable PEM file."
        ) from None


def _said(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
