"""The client's TLS and metadata, checked before anything starts."""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from pathlib import Path

import grpc

from whichpod.model.errors import UsageError
from whichpod.model.target import Tls

_KEY = re.compile(r"[0-9a-z_.\-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")


def channel_credentials(tls: Tls) -> grpc.ChannelCredentials:
    """What TLS needs. Raises UsageError naming the file that is missing or isn't PEM."""
    if bool(tls.cert_file) != bool(tls.key_file):
        raise UsageError("Mutual TLS needs both a certificate and its key.", fix="Give --cert and --key.")
    ca = _read(tls.ca_file, "--ca") if tls.ca_file else None
    cert = _read(tls.cert_file, "--cert") if tls.cert_file else None
    key = _read(tls.key_file, "--key") if tls.key_file else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        try:
            context.load_verify_locations(cadata=ca.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError, ValueError):
            raise UsageError(
                f"--ca {tls.ca_file} has no certificate.", fix="It must be a PEM file."
            ) from None
    if cert is not None:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        except (ssl.SSLError, OSError) as e:
            why = getattr(e, "reason", None) or str(e)
            raise UsageError(
                f"--cert {tls.cert_file} and --key {tls.key_file} don't go together: {why}.",
                fix="They must be PEM: a certificate chain, and the key of its first one without a password.",
            ) from None
    return grpc.ssl_channel_credentials(ca, key, cert)


def _read(file: str, option: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as e:
        raise UsageError(
            f"{option} {file} can't be read: {e.strerror}.", fix="Name a readable PEM file."
        ) from None


def wire_metadata(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str | bytes], ...]:
    """Metadata as grpcio takes it; values of `-bin` keys are given in base64. Raises UsageError.

    Source: gRPC over HTTP/2, "Custom-Metadata": keys are lower case, grpc- is reserved, values are
    printable ASCII.
    """
    found: list[tuple[str, str | bytes]] = []
    for key, value in pairs:
        if not _KEY.fullmatch(key):
            raise UsageError(
                f"The metadata key {key!r} is not allowed.", fix="Use a-z, 0-9, '-', '_' and '.'."
            )
        if key.startswith("grpc-"):
            raise UsageError(
                f"The metadata key {key} is gRPC's own.", fix="Keys that start with grpc- are reserved."
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
