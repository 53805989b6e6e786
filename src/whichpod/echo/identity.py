"""Who this server is."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A server process, from the environment that Kubernetes' downward API fills."""

    server_id: str
    pod: str = ""
    pod_ip: str = ""
    namespace: str = ""
    node: str = ""
    zone: str = ""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Identity:
        """Reads POD_NAME, POD_IP, POD_NAMESPACE, NODE_NAME and ZONE; makes a server id of its own.

        The id is HOST-STARTEPOCH: the pod's name or the host's, and the time in ns, so that two starts on
        one host never share it.
        """
        pod = environ.get("POD_NAME", "")
        return cls(
            server_id=f"{pod or socket.gethostname()}-{time.time_ns()}",
            pod=pod,
            pod_ip=environ.get("POD_IP", ""),
            namespace=environ.get("POD_NAMESPACE", ""),
            node=environ.get("NODE_NAME", ""),
            zone=environ.get("ZONE", ""),
        )
