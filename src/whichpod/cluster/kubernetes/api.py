"""What whichpod does with a cluster's API (kubernetes.io, Kubernetes API Concepts)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from whichpod.cluster.kubernetes.connection import ANSWER_S, PATIENCE_S, Connection
from whichpod.cluster.kubernetes.errors import ApiError, Request
from whichpod.cluster.kubernetes.kinds import ACCESS_REVIEW, NAMESPACE, POD, Kind, kind_of
from whichpod.cluster.kubernetes.names import RUN, ours
from whichpod.model.errors import ClusterError

Document = dict[str, Any]
"""An object as JSON."""
MANAGER = "whichpod"
"""The name under which fields are set (kubernetes.io, Server-Side Apply)."""
ALL = ""
"""For a namespace: all of them."""
PAGE = 500
"""Objects that one answer of a list holds."""
_EXPIRED = 410
_RELISTS = 5


class Api:
    """A cluster's API, with the rights of one user.

    All methods raise ApiError for what the server refuses (ForbiddenError names the missing rule), and
    UnreachableError when it stays away for longer than patience lasts.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._served: dict[str, set[str] | None] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        namespace: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        says: Callable[[str], None] | None = None,
    ) -> AsyncIterator[Api]:
        """Connects with a kubeconfig, else with those of KUBECONFIG or ~/.kube/config, else as a pod does.

        The server is asked for its version at once, so that what doesn't work is said here. `says` is told
        when the server keeps one waiting.

        Raises UsageError for a file or context that isn't there, MissingExtraError without kr8s.
        """
        connection = await Connection.open(kubeconfig, context, namespace, patience_s)
        connection.says = says or connection.says
        try:
            api = cls(connection)
            await api.version(away_s=min(patience_s, 3.0))
            yield api
        finally:
            await connection.close()

    @property
    def where(self) -> str:
        """The context's name and its server."""
        return self.connection.where

    @property
    def namespace(self) -> str:
        """The one that was asked for, else the context's."""
        return self.connection.namespace

    async def version(self, *, away_s: float | None = None) -> tuple[int, int]:
        """The server's, as (1, 32)."""
        request = Request("get", Kind("", "", "Version", "/version", namespaced=False))
        answer = await self.connection.send("GET", "/version", request, away_s=away_s)
        data = answer.json()
        found = re.match(r"v(\d+)\.(\d+)", str(data.get("gitVersion", "")) if isinstance(data, dict) else "")
        if not found:
            raise ClusterError(
                f"What answers at {self.where} does not say which Kubernetes it is.",
                fix="Is that an API server?",
            )
        return int(found[1]), int(found[2])

    async def served(self, kind: Kind) -> bool:
        """Whether the cluster knows the kind, in this version."""
        if kind.root not in self._served:
            answer = await self.connection.send("GET", kind.root, Request("get", kind), also=(404,))
            resources = answer.json().get("resources", ()) if answer.status == 200 else ()
            self._served[kind.root] = {str(r.get("name")) for r in resources}
        return kind.plural in (self._served[kind.root] or ())

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Document | None:
        """An object; None where there is none."""
        where = self._where(kind, namespace)
        answer = await self.connection.send(
            "GET", kind.path(where, name), Request("get", kind, where, name), also=(404,)
        )
        return self._object(answer.json()) if answer.status == 200 else None

    async def objects(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Document]:
        """The objects that the selectors mean, in a namespace or in ALL."""
        return (await self.objects_with_version(kind, namespace, labels=labels, fields=fields))[0]

    async def objects_with_version(
        self, kind: Kind, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> tuple[list[Document], str]:
        """As `objects`, and the resource version from which a watch goes on."""
        where = self._where(kind, namespace)
        request = Request("list", kind, where)
        for _ in range(_RELISTS):
            found: list[Document] = []
            token = ""
            while True:
                params = {"limit": str(PAGE)} | _selectors(labels, fields)
                if token:
                    params["continue"] = token
                answer = await self.connection.send(
                    "GET", kind.path(where), request, params=params, also=(_EXPIRED,)
                )
                if answer.status == _EXPIRED:
                    break  # the list was too slow for what the server remembers: from the start again
                data = answer.json()
                metadata = data.get("metadata") or {}
                # The items of a list don't repeat what they are.
                said = {"apiVersion": kind.api_version, "kind": kind.kind}
                found += (said | item for item in data.get("items") or ())
                token = metadata.get("continue") or ""
                if not token:
                    return found, str(metadata.get("resourceVersion") or "")
        raise ApiError(
            f"To {request} can't be finished: the server forgets faster than it lists.",
            fix="Try again when the cluster is quieter.",
            status=_EXPIRED,
            reason="Expired",
        )

    async def apply(
        self, document: Mapping[str, Any], *, force: bool = True, dry_run: bool = False
    ) -> Document:
        """Server-side apply. Unknown fields are refused. `force` takes fields over that others manage."""
        kind = kind_of(document)
        metadata = document["metadata"]
        where, name = str(metadata.get("namespace") or ""), str(metadata["name"])
        params = {"fieldManager": MANAGER, "force": str(force).lower(), "fieldValidation": "Strict"}
        answer = await self.connection.send(
            "PATCH",
            kind.path(where, name),
            Request("patch", kind, where, name),
            params=params | _dry(dry_run),
            body=document,
            content_type="application/apply-patch+yaml",
        )
        return self._object(answer.json())

    async def create(self, document: Mapping[str, Any], *, dry_run: bool = False) -> Document:
        """Makes an object that must not be there yet (ApiError with reason AlreadyExists otherwise).

        A request whose answer is lost may have been carried out. What carries a run's mark is sent again all
        the same: where it is there by then with that mark, which no other run has, it is what was meant.
        """
        kind = kind_of(document)
        where = str(document["metadata"].get("namespace") or "")
        name = str(document["metadata"].get("name") or "")
        run = str((document["metadata"].get("labels") or {}).get(RUN) or "")
        try:
            answer = await self.connection.send(
                "POST",
                kind.path(where),
                Request("create", kind, where, name),
                params={"fieldManager": MANAGER, "fieldValidation": "Strict"} | _dry(dry_run),
                body=document,
                again=bool(run),
            )
        except ApiError as e:
            made = await self.get(kind, name, where) if run and e.reason == "AlreadyExists" else None
            if made is None or not ours(made, run):
                raise
            return made
        return self._object(answer.json())

    async def patch(
        self, kind: Kind, name: str, merge: Mapping[str, Any], namespace: str | None = None
    ) -> Document:
        """A merge patch (RFC 7396)."""
        where = self._where(kind, namespace)
        answer = await self.connection.send(
            "PATCH",
            kind.path(where, name),
            Request("patch", kind, where, name),
            params={"fieldManager": MANAGER},
            body=merge,
            content_type="application/merge-patch+json",
        )
        return self._object(answer.json())

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None = None,
        *,
        uid: str = "",
        propagation: str = "Background",
        grace_s: int | None = None,
        patience_s: float | None = None,
    ) -> bool:
        """Deletes an object, with `uid` only that very one; False where it is gone already."""
        where = self._where(kind, namespace)
        body: Document = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        if uid:
            body["preconditions"] = {"uid": uid}
        answer = await self.connection.send(
            "DELETE",
            kind.path(where, name),
            Request("delete", kind, where, name),
            body=body,
            also=(404,) if not uid else (404, 409),
            patience_s=patience_s,
        )
        return answer.status < 400

    async def allowed(
        self, verb: str, kind: Kind, namespace: str = ALL, *, subresource: str = "", name: str = ""
    ) -> bool:
        """Whether this user may do that (SelfSubjectAccessReview)."""
        asked = {"verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace}
        asked |= {"subresource": subresource} if subresource else {}
        asked |= {"name": name} if name else {}
        answer = await self.connection.send(
            "POST",
            ACCESS_REVIEW.path(),
            Request("create", ACCESS_REVIEW),
            body={
                "apiVersion": ACCESS_REVIEW.api_version,
                "kind": ACCESS_REVIEW.kind,
                "spec": {"resourceAttributes": asked},
            },
        )
        return bool((answer.json().get("status") or {}).get("allowed"))

    async def proxy_get(
        self, pod: str, namespace: str, port: int, path: str, *, patience_s: float | None = None
    ) -> bytes:
        """GET `path` at a pod's port, through the API server."""
        request = Request("get", POD, namespace, pod, "proxy")
        url = f"{POD.path(namespace, f'{pod}:{port}', 'proxy')}/{path.lstrip('/')}"
        bare, _, query = url.partition("?")
        params = dict(part.partition("=")[::2] for part in query.split("&") if part)
        answer = await self.connection.send("GET", bare, request, params=params, patience_s=patience_s)
        return answer.body

    async def logs(
        self,
        pod: str,
        namespace: str,
        container: str = "",
        *,
        follow: bool = False,
        previous: bool = False,
        last: int = 0,
    ) -> AsyncGenerator[str, None]:
        """The lines of a container's log, from its start, or the `last` ones; `previous`: of the run before
        this one. With `follow` as they come, until it ends; a connection that is lost is an UnreachableError,
        and reading again begins at the start."""
        import httpx

        request = Request("get", POD, namespace, pod, "log")
        params = {"follow": str(follow).lower()} | ({"container": container} if container else {})
        params |= {"previous": "true"} if previous else {}
        params |= {"tailLines": str(last)} if last else {}
        path = POD.path(namespace, pod, "log")
        if not follow:
            answer = await self.connection.send("GET", path, request, params=params)
            for line in answer.body.decode(errors="replace").splitlines():
                yield line
            return
        try:
            # A client that measures is silent for as long as it takes.
            async with self.connection.stream(path, request, params, silence_s=3600.0) as response:
                async for line in response.aiter_lines():
                    yield line
        except httpx.HTTPError as e:
            raise self.connection.unreachable(e, request) from None

    async def own(self, name: str) -> Document | None:
        """A namespace; None where there is none."""
        return await self.get(NAMESPACE, name)

    def _where(self, kind: Kind, namespace: str | None) -> str:
        if not kind.namespaced:
            return ""
        return self.namespace if namespace is None else namespace

    def _object(self, data: Any) -> Document:
        if not isinstance(data, dict):
            raise ClusterError(f"What answers at {self.where} is no object.", fix="Is that an API server?")
        return data


def _selectors(labels: str, fields: str) -> dict[str, str]:
    found = {"labelSelector": labels, "fieldSelector": fields}
    return {key: value for key, value in found.items() if value}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


__all__ = ["ALL", "ANSWER_S", "MANAGER", "Api", "Document"]
