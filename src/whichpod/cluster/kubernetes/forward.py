"""Port-forward: a port of this machine that leads into a pod, past its sidecar, as kubectl's does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from whichpod.cluster.kubernetes.api import Api
from whichpod.model.errors import ClusterError
from whichpod.model.text import printable

RULE = '{apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}'
"""Who forwards needs it: `get` for WebSockets, and since Kubernetes 1.35 `create` too."""


class Forwarded:
    """A port that leads to a pod's."""

    def __init__(self, address: str) -> None:
        self.address = address
        """Host and port, on this machine."""
        self.failure = ""
        """Why connections failed; empty as long as none did."""

    def check(self, pod: str) -> None:
        """Raises ClusterError where a connection could not be forwarded."""
        if self.failure:
            raise ClusterError(
                f"Forwarding to pod {pod} failed: {self.failure}.",
                fix=f"Your user needs a Role with the rule {RULE}.",
            )


@asynccontextmanager
async def forwarded(api: Api, pod: str, namespace: str, port: int) -> AsyncIterator[Forwarded]:
    """Forwards while it is entered. The API server is in between, and the pod's own network namespace is
    entered on its node, so what dials is the pod's localhost (kubernetes.io, Use Port Forwarding)."""
    from kr8s.asyncio.objects import Pod
    from kr8s.portforward import PortForward

    resource = Pod({"metadata": {"name": pod, "namespace": namespace}}, api=api.connection.kr8s)
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    forward = PortForward(resource, remote_port=port, local_port=None)
    async with forward as number:
        found = Forwarded(f"127.0.0.1:{number}")

        def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            # asyncio has nowhere else to put what a connection's handler fails of.
            error = context.get("exception")
            found.failure = printable(str(error or context.get("message", "")), 200) or type(error).__name__

        loop.set_exception_handler(failed)
        try:
            yield found
        finally:
            loop.set_exception_handler(before)
