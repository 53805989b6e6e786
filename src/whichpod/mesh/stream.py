"""What one ADS stream has asked for, been sent and accepted. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from whichpod.mesh.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, TYPES, Resources, digest
from whichpod.mesh.xds import discovery, packed

_FOLLOWS = {CLUSTER: ENDPOINT, LISTENER: ROUTE}
"""A proxy that gets a changed cluster waits for its endpoints anew, even if those have not changed; so does
a listener for its routes."""


@dataclass(slots=True)
class Subscription:
    """The state of one type on a stream."""

    names: frozenset[str] | None = None
    """None: all there are (only listeners and clusters)."""
    nonce: str = ""
    sent: str = ""
    """Version that went out last."""
    answered: bool = True
    """Whether the client has acknowledged or refused the last response."""
    accepted: str = ""
    refused: str = ""
    message: str = ""
    due: bool = True
    """Whether the client waits for a response even if nothing has changed."""

    def wanted(self, resources: Mapping[str, str]) -> dict[str, str]:
        """The resources that the client has subscribed to."""
        if self.names is None:
            return dict(resources)
        return {name: resources[name] for name in sorted(self.names) if name in resources}


@dataclass(slots=True, eq=False)
class Stream:
    """One node's stream. `take` a request, send what is `due`; `wake` says that there may be something."""

    node: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False
    _types: dict[str, Subscription] = field(default_factory=dict)
    _count: int = 0

    def take(self, request: Any) -> str | None:
        """Takes a DiscoveryRequest; returns the message if it refuses what was sent.

        Only the first request of a stream carries the node's id. One with an old nonce is outdated: the
        client will answer the newer response too.
        """
        if not self.node:
            self.node = request.node.id or "unknown"
        if request.type_url not in TYPES:
            return None
        sub = self._types.get(request.type_url)
        if sub is None:
            sub = self._types[request.type_url] = Subscription()
        elif request.response_nonce != sub.nonce:
            return None
        names = frozenset(request.resource_names)
        wildcard = (not names and sub.names is None) or "*" in names
        changed = (None if wildcard else names) != sub.names
        sub.names = None if wildcard else names
        if request.type_url in (ENDPOINT, ROUTE) and not names:
            sub.names = frozenset()
        if not sub.nonce:
            return None
        if sub.answered or changed:
            # Asked for again with nothing new to acknowledge: it wants a response.
            sub.due = True
        if sub.answered:
            return None
        sub.answered = True
        if request.HasField("error_detail"):
            sub.refused, sub.message = sub.sent, request.error_detail.message.strip()
            return sub.message
        sub.accepted = sub.sent
        return None

    def due(self, snapshot: Resources) -> Iterator[Any]:
        """The DiscoveryResponses to send now, in the order that keeps references whole."""
        response = discovery().DiscoveryResponse
        for type_url in TYPES:
            sub = self._types.get(type_url)
            if sub is None:
                continue
            wanted = sub.wanted(snapshot.texts[type_url])
            version = digest(wanted)
            if (version == sub.sent and not sub.due) or sub.names == frozenset():
                continue
            follower = self._types.get(_FOLLOWS.get(type_url, ""))
            if follower is not None and version != sub.sent and sub.sent:
                follower.due = True
            self._count += 1
            sub.nonce, sub.sent, sub.due, sub.answered = str(self._count), version, False, False
            yield response(
                version_info=version,
                type_url=type_url,
                nonce=sub.nonce,
                resources=[
                    packed(type_url, text, snapshot.of(type_url)[name]) for name, text in wanted.items()
                ],
            )

    def pending(self, snapshot: Resources) -> set[str]:
        """The types whose present resources the client hasn't accepted yet."""
        needed = set(self._types) or {LISTENER}
        if CLUSTER in self._types and self._types[CLUSTER].names is None:
            needed |= {CLUSTER, LISTENER}
            needed |= {t for t in (ENDPOINT, ROUTE) if snapshot.of(t)}
        return {t for t in needed if not self._has(t, snapshot)}

    def _has(self, type_url: str, snapshot: Resources) -> bool:
        sub = self._types.get(type_url)
        if sub is None:
            return False
        if sub.names != frozenset() and sub.accepted != digest(sub.wanted(snapshot.texts[type_url])):
            return False
        proxy = CLUSTER in self._types and self._types[CLUSTER].names is None
        return not proxy or sub.names is None or sub.names >= set(snapshot.of(type_url))

    def refusal(self, snapshot: Resources) -> tuple[str, str] | None:
        """(type, message) where the client has refused the present resources of a type."""
        for type_url, sub in self._types.items():
            if sub.refused and sub.refused == digest(sub.wanted(snapshot.texts[type_url])):
                return type_url, sub.message
        return None
