"""PEM files of TLS, checked before anything starts: gRPC itself would only fail every handshake."""

from __future__ import annotations

import ssl
from pathlib import Path

from whichpod.model.errors import UsageError
from whichpod.model.target import Tls


def read_client(tls: Tls) -> tuple[bytes | None, bytes | None, bytes | None]:
    """(roots, certificate chain, its key) of a client, None for what isn't given. Raises UsageError naming
    the option and the file that is missing or isn't PEM."""
    if bool(tls.cert_file) != bool(tls.key_file):
        raise UsageError("Mutual TLS needs both a certificate and its key.", fix="Give --cert and --key.")
    roots = read_roots(tls.ca_file, "--ca") if tls.ca_file else None
    if not tls.cert_file:
        return roots, None, None
    return roots, *read_pair(tls.cert_file, tls.key_file, ("--cert", "--key"))


def read_roots(file: str, option: str) -> bytes:
    """Certificates to trust. Raises UsageError naming the option and the file."""
    pem = _read(file, option)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (ssl.SSLError, OSError):
        raise UsageError(f"{option} {file} has no certificate.", fix="It must be a PEM file.") from None
    return pem


def read_pair(cert_file: str, key_file: str, options: tuple[str, str]) -> tuple[bytes, bytes]:
    """A certificate chain and its key. Raises UsageError naming options and files, also where they differ."""
    pair = _read(cert_file, options[0]), _read(key_file, options[1])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as e:
        raise UsageError(
            f"{options[0]} {cert_file} and {options[1]} {key_file} don't go together: "
            f"{getattr(e, 'reason', None) or e}.",
            fix="They must be PEM: a certificate chain, and the key of its first one without a password.",
        ) from None
    return pair


def _no_password() -> str:
    # Without it, openssl asks for the password of a key on the terminal.
    raise ValueError("the key has a password")


def _read(file: str, option: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as e:
        raise UsageError(
            f"{option} {file} can't be read: {e.strerror}.", fix="Name a readable PEM file."
        ) from None
