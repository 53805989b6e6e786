"""Removes what runs made, by its labels, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from whichpod.cluster.kubernetes.api import Api, Document
from whichpod.cluster.kubernetes.errors import ForbiddenError
from whichpod.cluster.kubernetes.home import USE, gone
from whichpod.cluster.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, JOB, MADE, NAMESPACE, POD, SERVICE, Kind
from whichpod.cluster.kubernetes.names import CREATED_BY, RUN, ours, selector
from whichpod.model.errors import ClusterError

AT_ONCE = 8
"""Requests at a time."""
_PAUSE_S = 0.25
_ALWAYS = (CONFIG_MAP, SERVICE, DEPLOYMENT, JOB)
"""What every run has."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object that a run made and that is still there."""

    kind: Kind
    namespace: str
    """Where it is; of a namespace itself, empty."""
    name: str
    uid: str
    run: str
    created_by: str
    """Which version made it."""
    since: str
    """When, in RFC 3339."""

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.name}" + (f" in {self.namespace}" if self.namespace else "")


async def leftovers(api: Api, *, run: str = "", namespaces: Sequence[str] = ()) -> list[Leftover]:
    """What runs (or the given one) left: their own namespaces, and objects in those that they may use.

    Where namespaces can't be listed, only `namespaces` and the context's own are looked at. What is in a
    run's own namespace goes with it and isn't listed. Raises what `Api` raises.
    """
    found: list[Leftover] = []
    lent = set(namespaces)
    try:
        found += (
            _leftover(NAMESPACE, document)
            for document in await api.objects(NAMESPACE, labels=selector(run))
            if ours(document, run) and (document["metadata"].get("labels") or {}).get(USE) != "true"
        )
        lent |= {d["metadata"]["name"] for d in await api.objects(NAMESPACE, labels=f"{USE}=true")}
    except ForbiddenError:
        lent.add(api.namespace)
    own = {leftover.name for leftover in found}
    for namespace in sorted(lent - own):
        found += await objects_of(api, namespace, run=run)
    return found


async def objects_of(api: Api, namespace: str, *, run: str = "") -> list[Leftover]:
    """What runs (or the given one) have in a namespace."""
    room = asyncio.Semaphore(AT_ONCE)

    async def of(kind: Kind) -> list[Leftover]:
        async with room:
            if not await api.served(kind):
                return []
            try:
                documents = await api.objects(kind, namespace, labels=selector(run))
            except ForbiddenError:
                if kind in _ALWAYS:
                    raise
                return []  # who may not list it has made none
            # What has an owner goes with it.
            return [
                _leftover(kind, document)
                for document in documents
                if ours(document, run) and not document["metadata"].get("ownerReferences")
            ]

    kinds = [kind for kind in MADE if kind.namespaced]
    return [leftover for some in await asyncio.gather(*map(of, kinds)) for leftover in some]


async def remove(api: Api, what: Iterable[Leftover], *, within_s: float, says: Callable[[str], None]) -> None:
    """Deletes them, each only if it is still that very object, and waits until they and their pods are gone.

    Raises ClusterError where they stay, and what `Api` raises.
    """
    what = list(what)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(leftover: Leftover) -> None:
        async with room:
            await api.delete(leftover.kind, leftover.name, leftover.namespace, uid=leftover.uid)

    await asyncio.gather(*map(one, what))
    deadline = time.monotonic() + within_s
    names = [leftover.name for leftover in what if leftover.kind is NAMESPACE]
    if names:
        says("waiting for namespaces to be gone")
        await gone(api, names, within_s=within_s)
    for namespace, run in sorted({(x.namespace, x.run) for x in what if x.namespace}):
        await _pods_gone(api, namespace, run, deadline, within_s, says)


async def _pods_gone(
    api: Api, namespace: str, run: str, deadline: float, within_s: float, says: Callable[[str], None]
) -> None:
    said = False
    while pods := await api.objects(POD, namespace, labels=selector(run)):
        if not said:
            said = True
            says(f"waiting for {len(pods)} pods to end")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{len(pods)} pods in {namespace} are still there after {within_s:g} s.",
                fix=f"See why: kubectl get pods -n {namespace} -l {RUN}={run}",
            )
        await asyncio.sleep(_PAUSE_S)


def _leftover(kind: Kind, document: Document) -> Leftover:
    metadata = document["metadata"]
    return Leftover(
        kind,
        str(metadata.get("namespace") or "") if kind.namespaced else "",
        str(metadata["name"]),
        str(metadata.get("uid") or ""),
        str((metadata.get("labels") or {}).get(RUN, "")),
        str((metadata.get("annotations") or {}).get(CREATED_BY, "")),
        str(metadata.get("creationTimestamp") or ""),
    )
