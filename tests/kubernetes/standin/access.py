"""Who may do what (kubernetes.io, Using RBAC Authorization)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.kubernetes.standin.requests import Place, Request
from tests.kubernetes.standin.status import RefusedError

USER = "tester"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(slots=True)
class Access:
    """`rules` are a Role's, each with an optional "namespace"; None: everything is allowed."""

    rules: list[dict[str, Any]] | None = None

    def allowed(
        self, verb: str, group: str, resource: str, namespace: str, name: str = "", subresource: str = ""
    ) -> bool:
        if self.rules is None:
            return True
        what = f"{resource}/{subresource}" if subresource else resource
        for rule in self.rules:
            names = rule.get("resourceNames")
            if (
                _in(verb, rule["verbs"])
                and _in(group, rule["apiGroups"])
                and _in(what, rule["resources"])
                and (not names or name in names)
                and rule.get("namespace", namespace) == namespace
            ):
                return True
        return False

    def check(self, request: Request, place: Place) -> None:
        verb = verb_of(request, place)
        group, plural = place.resource.group, place.resource.plural
        if self.allowed(verb, group, plural, place.namespace, place.name, place.subresource):
            return
        what = f"{plural}/{place.subresource}" if place.subresource else plural
        kind = f"{plural}.{group}" if group else plural
        title = f'{kind} "{place.name}" is' if place.name else f"{kind} is"
        where = f'in the namespace "{place.namespace}"' if place.namespace else "at the cluster scope"
        raise RefusedError(
            403,
            "Forbidden",
            f'{title} forbidden: User "{USER}" cannot {verb} resource "{what}" in API group "{group}" {where}',
            name=place.name,
            kind=plural,
        )

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answers a SelfSubjectAccessReview."""
        asked = body["spec"]["resourceAttributes"]
        allowed = self.allowed(
            asked["verb"],
            asked.get("group", ""),
            asked["resource"],
            asked.get("namespace", ""),
            asked.get("name", ""),
            asked.get("subresource", ""),
        )
        return {**body, "status": {"allowed": allowed}}


def verb_of(request: Request, place: Place) -> str:
    if request.method == "GET":
        if request.query.get("watch") == "true":
            return "watch"
        return "get" if place.name else "list"
    if request.method == "DELETE" and not place.name:
        return "deletecollection"
    return _VERBS[request.method]


def _in(value: str, allowed: list[str]) -> bool:
    return value in allowed or "*" in allowed
