"""What an API server answers with when it refuses, in words that help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.kubernetes.kinds import Kind
from whichpod.model.errors import ClusterError, ClusterLostError
from whichpod.model.text import printable

_LONGEST = 400
"""Characters of a server's message: a webhook's can be a page."""


class ApiError(ClusterError):
    """The API server refused, or failed at, a request."""

    def __init__(self, message: str, *, fix: str = "", status: int = 0, reason: str = "") -> None:
        super().__init__(message, fix=fix)
        self.status = status
        """Of HTTP."""
        self.reason = reason
        """In the API's terms: AlreadyExists, Conflict, Expired, Invalid..."""


class ForbiddenError(ApiError):
    """RBAC, or an admission plugin, does not allow it."""


class UnknownUserError(ApiError, ClusterLostError):
    """The credentials aren't accepted, or no longer."""


class UnreachableError(ClusterLostError):
    """The API server can't be reached, or stopped to answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as RBAC sees it."""

    verb: str
    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As a role names it: pods/log."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    @property
    def rule(self) -> str:
        """The rule of a role that allows it, as a line of YAML (kubernetes.io, Using RBAC Authorization)."""
        group = json.dumps(self.kind.group)
        return f'{{apiGroups: [{group}], resources: ["{self.resource}"], verbs: ["{self.verb}"]}}'

    @property
    def role(self) -> str:
        """Which role holds that rule."""
        if not self.kind.namespaced or not self.namespace:
            return "a ClusterRole"
        return f"a Role in {self.namespace}"

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}" + (f".{self.kind.group}" if self.kind.group else "")
        if self.name:
            what += f" {self.name}"
        return what + (f" in {self.namespace}" if self.namespace and self.kind.namespaced else "")


def refused(status: int, body: bytes, request: Request) -> ApiError:
    """The error for an answer (a Status object, if the server kept to the API's conventions)."""
    data = _status(body)
    reason = str(data.get("reason") or "")
    said = _said(data, body)
    what = f"To {request}"
    if status == 401:
        return UnknownUserError(
            f"The cluster does not accept the credentials: {said}",
            fix="They may have expired. Log in again, as for kubectl; `kubectl auth whoami` must work.",
            status=status,
            reason=reason,
        )
    if status == 403:
        return _forbidden(data, said, reason, request)
    if status == 409 and (owners := _owners(data)):
        return ApiError(
            f"{what} is refused: {owners}.",
            fix="Somebody else manages that object. Leave it out, or take another namespace.",
            status=status,
            reason=reason,
        )
    fix = {
        404: "Does it still exist?",
        410: "Try again.",
        413: "It is too big for the API server.",
        429: "The API server limits requests. Try again later, or with fewer pods.",
    }.get(status, "")
    if status >= 500:
        fix = "The cluster's control plane has trouble: see its own logs, or try again later."
    return ApiError(f"{what} is refused ({status}): {said}", fix=fix, status=status, reason=reason)


def _forbidden(data: Mapping[str, Any], said: str, reason: str, request: Request) -> ForbiddenError:
    causes = [str(c.get("reason", "")) for c in (data.get("details") or {}).get("causes") or ()]
    if "NamespaceTerminating" in causes:
        fix = "The namespace is being deleted. Wait until it is gone, or take another."
    elif "exceeded quota" in said:
        fix = "The namespace's quota is used up: take fewer pods, or another namespace."
    elif "violates PodSecurity" in said:
        fix = "The namespace's Pod Security level forbids such pods: take another namespace."
    elif "denied the request" in said:
        fix = "A policy of the cluster refuses it: ask who runs it."
    else:
        fix = f"Your user needs {request.role} with the rule {request.rule}"
    return ForbiddenError(f"To {request} is forbidden: {said}", fix=fix, status=403, reason=reason)


def _status(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _said(data: Mapping[str, Any], body: bytes) -> str:
    text = data.get("message") or body.decode(errors="replace") or "it does not say why"
    return printable(str(text), _LONGEST)


def _owners(data: Mapping[str, Any]) -> str:
    """Which fields another manager has, from a server-side apply's conflict."""
    causes = (data.get("details") or {}).get("causes") or ()
    fields = [c for c in causes if isinstance(c, Mapping) and c.get("reason") == "FieldManagerConflict"]
    return "; ".join(printable(f"{c.get('message')}: {c.get('field')}") for c in fields)
