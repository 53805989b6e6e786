"""The client's TLS, checked before anything starts."""

from __future__ import annotations

import grpc

from whichpod.model.pem import read_client
from whichpod.model.target import Tls


def channel_credentials(tls: Tls) -> grpc.ChannelCredentials:
    """What TLS needs. Raises UsageError naming the file that is missing or isn't PEM."""
    roots, cert, key = read_client(tls)
    return grpc.ssl_channel_credentials(roots, key, cert)
