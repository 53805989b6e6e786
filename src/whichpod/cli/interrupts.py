"""Ctrl-C and SIGTERM, for commands that have something to clean up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
HUSH_S = 5.0
"""How long a further Ctrl-C is not heard: longer than ending a run takes."""


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


@contextlib.contextmanager
def told_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt once; more of them, within some seconds, change nothing:
    what was measured is being told. SIGINT stays ignored where it is, as in a shell's background jobs."""
    heard = -HUSH_S

    def told(_number: int, _frame: object) -> None:
        nonlocal heard
        if time.monotonic() - heard < HUSH_S:
            return
        heard = time.monotonic()
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
