"""Options that the commands of `whichpod k8s` share, and how they run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

Kubeconfig = Annotated[
    str, typer.Option(help="The kubeconfig [default: as for kubectl, else a pod's service account].")
]
Context = Annotated[str, typer.Option(help="Its context [default: the current one].")]
Image = Annotated[str, typer.Option(help="Whichpod's image, as the cluster's nodes can pull it.")]
PullPolicy = Annotated[
    str, typer.Option(help="Always, IfNotPresent or Never [default: the cluster's choice].")
]
ReadyTimeout = Annotated[str, typer.Option(help="How long pods may take to get ready.")]

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
