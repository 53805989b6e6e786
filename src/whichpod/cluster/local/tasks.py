"""Several things at once, with the first error as the only one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(jobs: Iterable[Coroutine[Any, Any, None]], *, at_once: int) -> None:
    """Runs all jobs, at most so many at a time. The first error ends the others and is raised."""
    room = asyncio.Semaphore(at_once)
    jobs = list(jobs)

    async def one(job: Coroutine[Any, Any, None]) -> None:
        async with room:
            await job

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job in jobs:  # those whose turn never came
            job.close()


async def unless(failed: asyncio.Future[Any], job: Coroutine[Any, Any, T]) -> T:
    """The result of `job`; raises what `failed` fails with as soon as it does.

    Cancelling this cancels the job, and what the job makes of that counts: it may still have a result.
    """
    task = asyncio.create_task(job)
    both: set[asyncio.Future[Any]] = {task, failed}
    while not task.done():
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            continue
        if failed.done():
            # What the job met with because of that is not the news.
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            failed.result()
    return task.result()
