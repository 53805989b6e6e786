"""A set of xDS resources for one node, in Envoy's JSON form until it is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from whichpod.mesh.pieces import JsonObject, Written

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
TYPES = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""In the order in which they are sent, so that nothing refers to what isn't there yet (make before break)."""


@dataclass(frozen=True)
class Resources:
    """Resources by name, per type. A value is the protobuf message's canonical JSON."""

    clusters: Mapping[str, JsonObject] = field(default_factory=dict)
    endpoints: Mapping[str, JsonObject] = field(default_factory=dict)
    listeners: Mapping[str, JsonObject] = field(default_factory=dict)
    routes: Mapping[str, JsonObject] = field(default_factory=dict)

    def __or__(self, other: Resources) -> Resources:
        """Both; where a name is in both, `other`'s."""
        return Resources(
            {**self.clusters, **other.clusters},
            {**self.endpoints, **other.endpoints},
            {**self.listeners, **other.listeners},
            {**self.routes, **other.routes},
        )

    def of(self, type_url: str) -> Mapping[str, JsonObject]:
        """The resources of one type, by name."""
        return {
            CLUSTER: self.clusters,
            ENDPOINT: self.endpoints,
            LISTENER: self.listeners,
            ROUTE: self.routes,
        }.get(type_url, {})

    @cached_property
    def texts(self) -> Mapping[str, Mapping[str, str]]:
        """Per type and name the resource as JSON text, the same text for the same content."""
        return {url: {name: _text(r) for name, r in sorted(self.of(url).items())} for url in TYPES}

    @property
    def version(self) -> str:
        """The same for the same content."""
        return digest({url: digest(self.texts[url]) for url in TYPES})


def _text(resource: JsonObject) -> str:
    return resource.text if isinstance(resource, Written) else json.dumps(resource, sort_keys=True)


def digest(texts: Mapping[str, str]) -> str:
    """A short text that is the same for the same content."""
    hashed = hashlib.blake2b(digest_size=8)
    for name, text in sorted(texts.items()):
        hashed.update(f"{name}\0{text}\0".encode())
    return hashed.hexdigest()
