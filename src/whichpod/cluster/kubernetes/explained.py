"""What the cluster says of a trouble beyond a pod's status, asked for before its traces are removed."""

from __future__ import annotations

import contextlib

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.kinds import EVENT
from whichpod.cluster.kubernetes.trouble import MOST_TEXT, Trouble
from whichpod.model.errors import ClusterError, ClusterLostError
from whichpod.model.text import printable

_LINES = 20


async def error_of(api: Api, trouble: Trouble, namespace: str) -> ClusterError:
    """A trouble as the error that ends a run, with the last words of a container that keeps ending, or why an
    image can't be pulled. What can't be read is left out."""
    said = ""
    # Who may not read it knows the trouble all the same.
    with contextlib.suppress(ClusterError):
        try:
            if trouble.more == "log":
                said = await _last_words(api, trouble, namespace)
            elif trouble.more == "events":
                said = await _pull_error(api, trouble, namespace)
        except ClusterLostError as e:
            return e
    return ClusterError(trouble.message + said, fix=trouble.fix)


async def _last_words(api: Api, trouble: Trouble, namespace: str) -> str:
    lines = api.logs(trouble.pod, namespace, trouble.container, previous=True, last=_LINES)
    words = [line.strip() async for line in lines if line.strip()]
    return f" The last that it wrote: {printable(words[-1], MOST_TEXT)}" if words else ""


async def _pull_error(api: Api, trouble: Trouble, namespace: str) -> str:
    """While it backs off, a pod's status says no more than that: why was said in an event before."""
    events = await api.objects(EVENT, namespace, fields=f"involvedObject.name={trouble.pod},reason=Failed")
    for event in reversed(events):
        message = str(event.get("message") or "")
        if "ailed to pull" in message and "ErrImagePull: " not in trouble.message:
            return f" {printable(message, MOST_TEXT).rstrip('.')}."
    return ""
