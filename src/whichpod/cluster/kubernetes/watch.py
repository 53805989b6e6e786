"""Objects as they change: a list, and a watch from there on (kubernetes.io, API Concepts, Efficient detection
of changes)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from whichpod.cluster.kubernetes.connection import FIRST_PAUSE_S, LONGEST_PAUSE_S, SAID_S
from whichpod.cluster.kubernetes.errors import ApiError, Request, refused

if TYPE_CHECKING:
    from whichpod.cluster.kubernetes.api import Api, Document
    from whichpod.cluster.kubernetes.kinds import Kind
    from whichpod.model.errors import ClusterError

TURN_S = 60
"""How long the server keeps one watch; it is renewed from where it was."""
_SILENCE_S = TURN_S + 15.0
_EXPIRED = 410
_FOR_A_WHILE = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to an object."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    document: Document


class _ExpiredError(Exception):
    """The server no longer knows what happened since then."""


@dataclass(slots=True)
class _Watch:
    api: Api
    kind: Kind
    namespace: str
    labels: str
    fields: str
    version: str = ""
    known: dict[tuple[str, str], Document] = field(default_factory=dict)

    @property
    def request(self) -> Request:
        return Request("watch", self.kind, self.namespace)

    async def relist(self) -> list[Change]:
        """What a list says that wasn't known."""
        items, self.version = await self.api.objects_with_version(
            self.kind, self.namespace, labels=self.labels, fields=self.fields
        )
        now = {_key(item): item for item in items}
        gone = [Change("DELETED", document) for key, document in self.known.items() if key not in now]
        new = [
            Change("MODIFIED" if key in self.known else "ADDED", document)
            for key, document in now.items()
            if _version(self.known.get(key)) != _version(document)
        ]
        self.known = now
        return [*gone, *new]

    async def turn(self) -> AsyncGenerator[Change, None]:
        """One watch, until the server ends it. Raises _ExpiredError."""
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.version,
            "timeoutSeconds": str(TURN_S),
            "labelSelector": self.labels,
            "fieldSelector": self.fields,
        }
        path = self.kind.path(self.namespace)
        try:
            async with self.api.connection.stream(
                path, self.request, {k: v for k, v in params.items() if v}, silence_s=_SILENCE_S
            ) as response:
                async for line in response.aiter_lines():
                    if line and (change := self._taken(json.loads(line))):
                        yield change
        except ApiError as e:
            if e.status == _EXPIRED:
                raise _ExpiredError from None
            raise

    def _taken(self, event: Mapping[str, Any]) -> Change | None:
        kind, document = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            code = int(document.get("code") or 500)
            if code == _EXPIRED:
                raise _ExpiredError
            raise refused(code, json.dumps(document).encode(), self.request)
        self.version = _version(document) or self.version
        key = _key(document)
        if kind == "DELETED":
            self.known.pop(key, None)
            return Change("DELETED", document)
        if kind not in ("ADDED", "MODIFIED"):
            return None  # a bookmark
        # After a connection was lost, an event may come a second time.
        known = self.known.get(key)
        if _version(known) == _version(document):
            return None
        self.known[key] = document
        return Change("MODIFIED" if known else "ADDED", document)


async def watch(
    api: Api, kind: Kind, namespace: str, *, labels: str = "", fields: str = ""
) -> AsyncGenerator[Change, None]:
    """All objects as ADDED, then each change, for as long as it is asked for.

    A connection that is lost is taken up where it was; what the server has forgotten meanwhile is worked out
    from a new list. Raises what `Api.objects` raises: ApiError, UnreachableError where the server stays away.
    """
    import httpx

    this = _Watch(api, kind, namespace, labels, fields)
    for change in await this.relist():
        yield change
    pause, deadline = FIRST_PAUSE_S, 0.0
    while True:
        error: ClusterError
        began = time.monotonic()
        try:
            async for change in this.turn():
                deadline, pause = 0.0, FIRST_PAUSE_S
                yield change
            if time.monotonic() - began >= 1.0:
                continue
            error = this.api.connection.unreachable(
                ConnectionError("it ends every watch at once"), this.request
            )
        except _ExpiredError:
            for change in await this.relist():
                yield change
            continue
        except (httpx.HTTPError, ValueError) as e:
            error = this.api.connection.unreachable(e, this.request)
        except ApiError as e:
            if e.status not in _FOR_A_WHILE:
                raise
            error = e
        now = time.monotonic()
        deadline = deadline or now + api.connection.patience_s
        if now + pause > deadline:
            raise error from None
        if pause >= SAID_S:
            api.connection.says("the API server can't be reached; trying again")
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


def _key(document: Mapping[str, Any]) -> tuple[str, str]:
    metadata = document.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _version(document: Mapping[str, Any] | None) -> str:
    return str(((document or {}).get("metadata") or {}).get("resourceVersion") or "")
