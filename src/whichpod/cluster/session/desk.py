"""What a lab's owner holds in its hands, and the operations on it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.session.asked import Manifests
from whichpod.cluster.session.talk import Talk
from whichpod.model.report import Report
from whichpod.version import __version__

A = TypeVar("A")


@dataclass(slots=True)
class Desk:
    """A lab that is up, or comes up."""

    name: str
    manifests: Manifests
    """What holds."""
    up: asyncio.Future[LocalLab]
    """The lab, once it is ready; fails with what keeps it from that."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when somebody asks for the end."""
    began: float = field(default_factory=time.monotonic)
    pid: int = field(default_factory=os.getpid)
    version: str = __version__
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by what changes the manifests, one at a time."""
    last: dict[str, LastRun] = field(default_factory=dict)
    """The last run of RPCs by the sidecar that they left through: `client`."""

    async def lab(self) -> LocalLab:
        """The lab. Waits until it is ready; raises what it has failed with."""
        return await asyncio.shield(self.up)


@dataclass(frozen=True, slots=True)
class LastRun:
    """A run of RPCs, by the client's own count, and by its sidecar's."""

    report: Report
    before: bytes
    """What its sidecar's counters said: /clusters?format=json."""
    after: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """What a command can ask for."""

    asks: type[Any]
    do: Callable[[Desk, Any, Talk], Awaitable[object]]
    goes_on: bool
    """Whether it is finished even where the command is gone meanwhile."""


OPERATIONS: dict[str, Operation] = {}
Do = Callable[[Desk, A, Talk], Awaitable[object]]


def operation(name: str, asks: type[A], *, goes_on: bool = False) -> Callable[[Do[A]], Do[A]]:
    """Makes a function known as an operation. What it returns is the answer, by `codec.to_json`."""

    def register(do: Do[A]) -> Do[A]:
        OPERATIONS[name] = Operation(asks, do, goes_on)
        return do

    return register
