"""Ctrl-C and SIGTERM, for commands that have something to clean up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def until_told(work: Coroutine[Any, Any, T]) -> T:
    """Runs it; Ctrl-C and SIGTERM cancel it once, so that it can clean up and report what there is.

    A second one changes nothing: what is being cleaned up would be left behind. Raises KeyboardInterrupt
    where the work did not take the cancellation as its own end.
    """

    async def run() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
