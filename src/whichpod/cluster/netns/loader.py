"""Loads rules into the kernel, and keeps a node's up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from whichpod.cluster.local.images.base import base_environment
from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.netns.rules.portals import Portal
from whichpod.cluster.netns.tools import ProxyMode
from whichpod.model.errors import LabError


async def load(
    supervisor: Supervisor, mode: ProxyMode, name: str, text: str, *, title: str, network: str = ""
) -> None:
    """Loads rules in the node, or in a pod's network, all or nothing. Raises LabError, with what was said."""
    file = supervisor.folder / f"{name}.rules"
    file.write_text(text, encoding="utf-8")
    # The lock that the machine's own iptables takes is neither ours to take nor, without privileges, to open.
    lock = {"XTABLES_LOCKFILE": str(supervisor.folder / f"{name}.lock")}
    process = supervisor.exec(
        name,
        mode.command(file),
        title=mode.program,
        env=base_environment(supervisor.folder) | lock,
        network=network,
    )
    if await asyncio.shield(process.exited) != 0:
        raise LabError(
            f"The rules of {title} can't be loaded: {process.title} {process.how_it_ended()}."
            f"{process.wrote()}"
        )


class KubeProxy:
    """Rewrites the node's rules whenever they should be others."""

    def __init__(self, supervisor: Supervisor, mode: ProxyMode, write: Callable[..., str]) -> None:
        """`write(portals, before)` gives the rules."""
        self._supervisor = supervisor
        self._mode = mode
        self._write = write
        self._wanted: tuple[Portal, ...] = ()
        self._loaded: tuple[Portal, ...] | None = None
        self._error: LabError | None = None
        self._task: asyncio.Task[None] | None = None

    def want(self, portals: Sequence[Portal]) -> None:
        """These are the Services' ports and endpoints now. Those that come while rules are loaded make one
        change."""
        self._wanted = tuple(portals)
        if self._loaded != self._wanted and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._load())

    async def settled(self) -> None:
        """Waits until the kernel has what was wanted last. Raises LabError where it doesn't take it."""
        while self._task and not self._task.done():
            await asyncio.wait({self._task})
        self.check()

    def check(self) -> None:
        """Raises LabError where rules could not be loaded."""
        if self._error:
            raise self._error

    async def stop(self) -> None:
        """Rewrites nothing any more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _load(self) -> None:
        while self._loaded != self._wanted:
            portals = self._wanted
            text = self._write(portals, self._loaded or ())
            try:
                await load(self._supervisor, self._mode, "kube-proxy", text, title="kube-proxy")
            except LabError as e:
                self._error = e
                return
            self._loaded, self._error = portals, None
