"""A stand-in for a Kubernetes API server, over real HTTP: it keeps state, and misbehaves on demand."""

from __future__ import annotations

from tests.kubernetes.standin.requests import Fault, Request
from tests.kubernetes.standin.server import ApiServer
from tests.kubernetes.standin.store import Object, Store

__all__ = ["ApiServer", "Fault", "Object", "Request", "Store"]
