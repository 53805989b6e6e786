"""What happens in a lab, for those who look on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import overload

from whichpod.cluster.protocol import LabEvent


class Events(Sequence[LabEvent]):
    """All that has happened, in order. It only grows."""

    def __init__(self) -> None:
        self._all: list[LabEvent] = []
        self._more = asyncio.Event()

    def add(self, kind: str, what: str, detail: str = "") -> None:
        """Something happened just now."""
        self._all.append(LabEvent.now(kind, what, detail))
        more, self._more = self._more, asyncio.Event()
        more.set()

    async def beyond(self, count: int) -> None:
        """Waits until more than so many have happened."""
        while len(self._all) <= count:
            await self._more.wait()

    @overload
    def __getitem__(self, index: int) -> LabEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabEvent]: ...
    def __getitem__(self, index: int | slice) -> LabEvent | list[LabEvent]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)
