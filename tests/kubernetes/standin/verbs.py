"""What requests do: get, list, create, update, patch, delete (kubernetes.io, API Concepts)."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.standin.requests import Place, Request
from tests.kubernetes.standin.selectors import by_fields, by_labels
from tests.kubernetes.standin.ssa import apply, managed_fields, own
from tests.kubernetes.standin.status import RefusedError, expired, not_found
from tests.kubernetes.standin.store import Object, Store
from tests.kubernetes.standin.validation import check, check_immutable

_MERGE, _APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
_STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(slots=True)
class Verbs:
    """The verbs over a store. `version` is what objects are validated against; empty: not at all."""

    store: Store
    version: str

    def answer(self, request: Request, place: Place) -> tuple[int, Object]:
        kind = place.resource.kind
        if request.method == "POST" and not place.name:
            return 201, self._create(request, place)
        if request.method == "GET" and not place.name:
            return 200, self._list(request, place)
        if request.method == "DELETE" and not place.name:
            return 200, self._delete_all(request, place)
        current = self.store.get(kind, place.namespace, place.name)
        if request.method == "PATCH" and request.headers.get("content-type") == _APPLY:
            return (200 if current else 201), self._apply(request, place, current)
        if current is None:
            raise not_found(place.resource.plural, place.name, place.resource.group)
        if request.method == "GET":
            return 200, self._shown(current, place)
        if request.method == "DELETE":
            return 200, self._delete(request, place, current)
        if request.method == "PUT":
            return 200, self._update(request, place, current, request.body)
        if request.method == "PATCH":
            # Of lists, a strategic merge would have to know more.
            plain = request.headers.get("content-type") == _STRATEGIC and "[" not in request.raw.decode()
            if request.headers.get("content-type") != _MERGE and not plain:
                raise RefusedError(
                    415, "UnsupportedMediaType", "the body of the request was in an unknown format"
                )
            return 200, self._update(request, place, current, merged(current, request.body))
        raise RefusedError(405, "MethodNotAllowed", "the server does not allow this method on the resource")

    def _create(self, request: Request, place: Place) -> Object:
        document = self._body(request, place)
        document.setdefault("metadata", {})
        if place.resource.namespaced:
            document["metadata"]["namespace"] = place.namespace
        check(document, place, self.version, strict=_strict(request))
        if request.query.get("dryRun") == "All":
            return document
        made = self.store.create(document)
        manager = request.query.get("fieldManager", "unknown")
        own(made, {}, self._owners(place, made["metadata"]["name"]), manager)
        return self._shown(made, place)

    def _list(self, request: Request, place: Place) -> Object:
        labels = by_labels(request.query.get("labelSelector", ""))
        fields = by_fields(request.query.get("fieldSelector", ""))
        limit = int(request.query.get("limit") or 0)
        start, version = "", self.store.version
        if token := request.query.get("continue"):
            start, version = json.loads(base64.b64decode(token))
            if version < self.store.oldest:
                raise expired()
        found = [
            d
            for d in self.store.objects(place.resource.kind, place.namespace or None)
            if labels(d) and fields(d) and _order(d) > start
        ]
        metadata: Object = {"resourceVersion": str(version)}
        if limit and len(found) > limit:
            last = _order(found[limit - 1])
            metadata["continue"] = base64.b64encode(json.dumps([last, version]).encode()).decode()
            metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        # As the real one, items don't say what they are.
        items = [
            {k: v for k, v in self._shown(d, place).items() if k not in ("kind", "apiVersion")} for d in found
        ]
        kind = f"{place.resource.kind}List"
        return {"kind": kind, "apiVersion": place.api_version, "metadata": metadata, "items": items}

    def _apply(self, request: Request, place: Place, current: Object | None) -> Object:
        manager = request.query.get("fieldManager")
        if not manager:
            raise RefusedError(400, "BadRequest", "fieldManager is required for apply patch")
        given = self._body(request, place)
        check(given, place, self.version, strict=_strict(request))
        base = current or {"apiVersion": given["apiVersion"], "kind": given["kind"], "metadata": {}}
        owners = copy.deepcopy(self._owners(place, place.name))
        force = request.query.get("force") == "true"
        document = apply(copy.deepcopy(base), given, owners, manager, force=force)
        check(document, place, self.version, strict=False)
        if current:
            check_immutable(current, document)
        if request.query.get("dryRun") == "All":
            return document
        if current is None:
            document["metadata"]["name"] = place.name
            if place.resource.namespaced:
                document["metadata"]["namespace"] = place.namespace
            made: Object | None = self.store.create(document)
        else:
            made = self._stored(place, document)
        assert made is not None
        self.store.owners[self.store.key(place.resource.kind, place.namespace, place.name)] = owners
        return self._shown(made, place)

    def _update(self, request: Request, place: Place, current: Object, document: Object) -> Object:
        asked = document.get("metadata", {}).get("resourceVersion")
        if asked and asked != current["metadata"]["resourceVersion"]:
            raise RefusedError(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {place.resource.plural} "{place.name}": the object has been '
                "modified; please apply your changes to the latest version and try again",
            )
        if place.subresource == "scale":
            document = merged(current, {"spec": {"replicas": document["spec"]["replicas"]}})
        check(document, place, self.version, strict=_strict(request))
        check_immutable(current, document)
        if request.query.get("dryRun") == "All":
            return document
        made = self._stored(place, document)
        manager = request.query.get("fieldManager", "unknown")
        own(made, current, self._owners(place, place.name), manager)
        return self._shown(made, place)

    def _stored(self, place: Place, document: Object) -> Object:
        def change(now: Object) -> None:
            metadata = {**document["metadata"], "resourceVersion": now["metadata"]["resourceVersion"]}
            for name in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace", "name"):
                if name in now["metadata"]:
                    metadata[name] = now["metadata"][name]
            now.clear()
            now.update({**document, "metadata": metadata})

        made = self.store.update(place.resource.kind, place.namespace, place.name, change)
        if made is None:
            raise not_found(place.resource.plural, place.name, place.resource.group)
        return made

    def _delete(self, request: Request, place: Place, current: Object) -> Object:
        options = request.body or {}
        asked = (options.get("preconditions") or {}).get("uid")
        if asked and asked != current["metadata"]["uid"]:
            raise RefusedError(
                409,
                "Conflict",
                f"Precondition failed: UID in precondition: {asked}, UID in object meta: {current['metadata']['uid']}",
            )
        if current["kind"] == "Pod" and self.store.kubelet and options.get("gracePeriodSeconds") != 0:
            self.store.end("Pod", place.namespace, place.name)
        else:
            orphan = options.get("propagationPolicy") == "Orphan"
            self.store.delete(place.resource.kind, place.namespace, place.name, orphan=orphan)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _delete_all(self, request: Request, place: Place) -> Object:
        found = self._list(request, place)
        for document in found["items"]:
            self.store.delete(place.resource.kind, place.namespace, document["metadata"]["name"])
        return found

    def _owners(self, place: Place, name: str) -> dict[str, set[tuple[str, ...]]]:
        return self.store.owners.setdefault(self.store.key(place.resource.kind, place.namespace, name), {})

    def _shown(self, document: Object, place: Place) -> Object:
        """In the version that was asked for, with its managers."""
        found = {**document, "apiVersion": place.api_version}
        owners = self._owners(place, document["metadata"]["name"])
        if owners:
            fields = managed_fields(owners, place.api_version)
            found["metadata"] = {**document["metadata"], "managedFields": fields}
        return found

    def _body(self, request: Request, place: Place) -> Object:
        document = request.body
        if not isinstance(document, dict):
            raise RefusedError(400, "BadRequest", "the object provided is unrecognized")
        said = document.get("apiVersion"), document.get("kind")
        if said != (place.api_version, place.resource.kind):
            raise RefusedError(
                400,
                "BadRequest",
                f"{said[1]} in version {said[0]!r} cannot be handled as a {place.resource.kind}",
            )
        namespace = (document.get("metadata") or {}).get("namespace")
        if namespace and place.resource.namespaced and namespace != place.namespace:
            raise RefusedError(
                400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"
            )  # fmt: skip
        return document


def merged(current: Any, patch: Any) -> Any:
    """A merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    found = dict(current) if isinstance(current, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def _strict(request: Request) -> bool:
    return request.query.get("fieldValidation") == "Strict"


def _order(document: Object) -> str:
    metadata = document["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
