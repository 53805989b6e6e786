"""The namespace in which a run works: its own, or one that somebody lets it use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.dress import ENFORCE, namespace_document
from whichpod.cluster.kubernetes.errors import ApiError
from whichpod.cluster.kubernetes.harden import Level
from whichpod.cluster.kubernetes.kinds import NAMESPACE, kind_of
from whichpod.cluster.kubernetes.names import RUN, ours
from whichpod.model.errors import ClusterError, UsageError

USE = "whichpod.io/use"
"""Label by which a namespace's owner lets whichpod use it: whichpod.io/use=true."""
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Home:
    """Where a run's objects are."""

    name: str
    made: bool
    """The run made it, and deletes it with all that is in it."""
    uid: str = ""


async def claim(api: Api, name: str, *, run: str, level: Level, says: Callable[[str], None]) -> Home:
    """Makes the namespace, or takes one that is labelled for whichpod's use.

    One that an earlier run made and that is on its way out is waited for. Raises UsageError for a namespace
    that is somebody else's, and what `Api` raises.
    """
    for _ in range(2):
        found = await api.own(name)
        if found is None:
            try:
                made = await api.create(namespace_document(name, run=run, level=level))
            except ApiError as e:
                if e.reason != "AlreadyExists":
                    raise
                continue  # somebody was faster: whose is it?
            return Home(name, made=True, uid=str(made["metadata"].get("uid", "")))
        metadata = found["metadata"]
        if metadata.get("deletionTimestamp"):
            says(f"waiting for the namespace {name} to be gone")
            await gone(api, [name], within_s=60.0)
            continue
        labels = metadata.get("labels") or {}
        if labels.get(USE) == "true":
            return Home(name, made=False)
        if ours(found, run):
            # Of an earlier row. What its pods must keep to depends on the row.
            patch = {"metadata": {"labels": {ENFORCE: level}}}
            await api.patch(NAMESPACE, name, patch)
            return Home(name, made=True, uid=str(metadata.get("uid", "")))
        if ours(found):
            raise UsageError(
                f"The namespace {name} belongs to another run of whichpod ({labels.get(RUN, '?')}).",
                fix=f"Remove it: whichpod k8s down --run {labels.get(RUN, '?')}",
            )
        break
    raise UsageError(
        f"The namespace {name} is there already, and whichpod didn't make it.",
        fix=f"Name another, or let it be used: kubectl label namespace {name} {USE}=true",
    )


async def check_free(api: Api, documents: Iterable[Mapping[str, Any]], *, run: str) -> None:
    """Raises UsageError where one of the names is taken in a namespace that isn't the run's own: what
    whichpod didn't make stays as it is, and two runs don't share what they make."""
    for document in documents:
        kind, metadata = kind_of(document), document["metadata"]
        found = await api.get(kind, metadata["name"], metadata["namespace"])
        if found is None or ours(found, run):
            continue
        what = f"{document['kind']} {metadata['name']} in {metadata['namespace']}"
        if ours(found):
            other = found["metadata"]["labels"][RUN]
            raise UsageError(
                f"{what} belongs to another run of whichpod ({other}).",
                fix=f"Wait for it, or remove it: whichpod k8s down --run {other}",
            )
        raise UsageError(
            f"{what} is there already, and whichpod didn't make it.", fix="Name another namespace."
        )


async def leave(api: Api, home: Home, *, patience_s: float | None = None) -> None:
    """Has the namespace deleted, where the run made it. It takes the cluster some seconds: see `gone`."""
    if home.made:
        await api.delete(NAMESPACE, home.name, uid=home.uid, patience_s=patience_s)


async def gone(api: Api, names: Iterable[str], *, within_s: float) -> None:
    """Waits until the namespaces are gone. Raises ClusterError, with what keeps the first, if they stay."""
    deadline = time.monotonic() + within_s
    for name in names:
        while (found := await api.own(name)) is not None:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"The namespace {name} is still being deleted after {within_s:g} s{_held(found)}.",
                    fix=f"The cluster goes on with it: kubectl get namespace {name} -o yaml",
                )
            await asyncio.sleep(_PAUSE_S)


def _held(namespace: Mapping[str, Any]) -> str:
    """What the cluster says is in the way (kubernetes.io, Namespace conditions)."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    said = [str(c.get("message")) for c in conditions if c.get("status") == "True" and c.get("message")]
    return f": {said[-1]}" if said else ""
