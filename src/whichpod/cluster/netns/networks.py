"""The networks of a lab's pods, made as they are asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from whichpod.cluster.netns.addresses import DNS, GATEWAY, NODE, OUTSIDE, POD_CIDR
from whichpod.cluster.netns.requests import NodeRequests
from whichpod.cluster.netns.texts import hosts, resolv_conf

WORKSTATION = "_workstation"
"""The network at the other end of the node's uplink: outside, as the user's machine is."""


class Networks:
    """Asks the node for networks: those that are asked for at the same time together."""

    def __init__(self, requests: NodeRequests, folder: Path) -> None:
        self._requests = requests
        self._folder = folder / "etc"
        self._turn = asyncio.Lock()
        self._pending: list[dict[str, str]] = []
        self._folder.mkdir()

    async def set_up(self) -> str:
        """Makes the node's own. Says with which privileges that is there. Raises LabError."""
        uplink = {"node": NODE, "outside": OUTSIDE, "pod_cidr": POD_CIDR}
        return await self._requests.set_up([DNS], WORKSTATION, uplink)

    async def add(self, name: str, address: str, namespace: str) -> None:
        """Makes a network of that name: a namespace with an address, with resolv.conf, hosts and a host name.

        Raises LabError.
        """
        pod = {
            "name": name,
            "address": address,
            "resolv_conf": self._file(f"resolv.conf.{namespace}", resolv_conf(namespace, DNS)),
            "hosts": self._file(f"hosts.{name}", hosts(name, address)),
        }
        self._pending.append(pod)
        async with self._turn:
            if pod in self._pending:  # else somebody else's request had it along
                batch, self._pending = self._pending, []
                await self._requests.add_pods(batch, GATEWAY)

    async def drop(self, name: str) -> None:
        """Lets go of a network, which ends with its last process. Raises LabError."""
        await self._requests.drop_pod(name)
        (self._folder / f"hosts.{name}").unlink(missing_ok=True)

    def _file(self, name: str, text: str) -> str:
        file = self._folder / name
        if not file.exists():
            file.write_text(text, encoding="utf-8")
        return str(file)
