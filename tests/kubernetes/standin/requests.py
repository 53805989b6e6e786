"""A request to the stand-in: what it asks for, and the faults that it may meet."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.kubernetes.standin.resources import Resource
from tests.kubernetes.standin.status import RefusedError


@dataclass(slots=True)
class Request:
    """One that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes = b""
    status: int = 0
    """Of the answer."""

    @classmethod
    def of(cls, method: str, target: str, headers: dict[str, str], raw: bytes) -> Request:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(method, parts.path, query, headers, raw)

    @property
    def body(self) -> Any:
        if not self.raw:
            return None
        try:
            return json.loads(self.raw)
        except ValueError:
            import yaml

            return yaml.safe_load(self.raw)


@dataclass(slots=True)
class Fault:
    """What goes wrong with requests of that method (empty: any) and path."""

    path: str
    do: Literal["status", "drop", "drop-mid", "drop-after", "slow", "hang"] = "status"
    """`drop-after`: it is carried out, and nobody learns of it."""
    method: str = ""
    times: int = 1
    """-1: for ever."""
    status: int = 500
    reason: str = "InternalError"
    message: str = "something went wrong"
    retry_after: int | None = None
    seconds: float = 0.0

    def meets(self, request: Request) -> bool:
        if self.times == 0 or (self.method and self.method != request.method):
            return False
        if not re.fullmatch(self.path, request.path):
            return False
        self.times -= self.times > 0
        return True

    @property
    def error(self) -> RefusedError:
        return RefusedError(self.status, self.reason, self.message, retry_after=self.retry_after)


_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<rest>.+))?)?"
)


@dataclass(frozen=True, slots=True)
class Place:
    """What a path means."""

    resource: Resource
    version: str
    namespace: str
    name: str
    subresource: str
    rest: str = ""
    """What follows pods/NAME/proxy."""
    port: str = field(default="")

    @property
    def api_version(self) -> str:
        return self.resource.api_version(self.version)


def place_of(path: str, resources: dict[str, Resource]) -> Place:
    """Raises RefusedError where nothing is served."""
    found = _PATH.fullmatch(path.rstrip("/"))
    if found:
        group, version = found["group"] or "", found["core"] or found["version"]
        namespace, plural, name, rest = found["namespace"], found["plural"], found["name"], found["rest"]
        if namespace and plural in ("status", "finalize") and not group:
            # /api/v1/namespaces/NAME/status is a namespace's own.
            namespace, plural, name, rest = None, "namespaces", namespace, plural
        for resource in resources.values():
            if (resource.group, resource.plural) == (group, plural) and version in resource.versions:
                subresource, _, more = (rest or "").partition("/")
                name, _, port = unquote(name or "").partition(":")
                return Place(resource, version, namespace or "", name, subresource, more, port)
    raise RefusedError(404, "NotFound", "the server could not find the requested resource")
