"""What the stand-in knows: objects, their versions, and what happened to them."""

from __future__ import annotations

import datetime
import marshal
import re
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from tests.kubernetes.standin.resources import Resource
from tests.kubernetes.standin.ssa import Owners
from tests.kubernetes.standin.status import RefusedError, not_found, too_old

T = TypeVar("T")
Object = dict[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace (empty for what has none), name."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Happened:
    version: int
    type: str
    key: Key
    document: Object
    before: Object | None


@dataclass(slots=True)
class Store:
    """Thread-safe. What it gives is the caller's own."""

    resources: dict[str, Resource]
    """By kind."""
    hold_namespaces: bool = False
    """Namespaces that are deleted stay in Terminating."""
    kubelet: bool = False
    """Whether somebody runs pods, so that they end before they go."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    history: list[Happened] = field(default_factory=list)
    oldest: int = 0
    """What happened up to here is forgotten."""
    owners: dict[Key, Owners] = field(default_factory=dict)
    _objects: dict[Key, Object] = field(default_factory=dict)
    _version: int = 100
    _addresses: int = 10
    _subscribers: list[Callable[[str, Object], None]] = field(default_factory=list)
    _untold: list[Happened] = field(default_factory=list)
    _telling: threading.RLock = field(default_factory=threading.RLock)

    @property
    def version(self) -> int:
        return self._version

    def key(self, kind: str, namespace: str, name: str) -> Key:
        return kind, namespace if self.resources[kind].namespaced else "", name

    def create(self, given: Object) -> Object:
        """Raises RefusedError for a name that is taken or none, or a namespace that isn't there."""
        document = _copy(given)
        metadata = document.setdefault("metadata", {})
        kind = document["kind"]
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        resource, name = self.resources[kind], str(metadata.get("name") or "")
        if not _NAME.fullmatch(name) or len(name) > 253:
            raise RefusedError(
                422, "Invalid", f'{kind} "{name}" is invalid: metadata.name: Invalid value: a lowercase RFC 1123 '
                "subdomain must consist of lower case alphanumeric characters, '-' or '.'",
            )  # fmt: skip
        with self.changed:
            namespace = str(metadata.get("namespace") or "") if resource.namespaced else ""
            if resource.namespaced:
                self._check_namespace(namespace, resource, name)
            key = kind, namespace, name
            if key in self._objects:
                raise RefusedError(
                    409,
                    "AlreadyExists",
                    f'{resource.plural} "{name}" already exists',
                    name=name,
                    kind=resource.plural,
                )
            metadata |= {
                "uid": str(uuid.uuid4()),
                "creationTimestamp": _now(),
                "generation": 1,
            }
            self._default(document)
            self._put(key, document, "ADDED", None)
        self._tell()
        return _copy(document)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        with self.changed:
            return _copy(self._objects.get(self.key(kind, namespace, name)))

    def objects(
        self, kind: str, namespace: str | None = None, labels: dict[str, str] | None = None
    ) -> list[Object]:
        if kind not in self.resources:
            return []
        with self.changed:
            return [
                _copy(o)
                for (k, ns, _), o in sorted(self._objects.items())
                if k == kind
                and (namespace is None or ns == namespace)
                and (labels or {}).items() <= (o["metadata"].get("labels") or {}).items()
            ]

    def update(self, kind: str, namespace: str, name: str, change: Callable[[Object], None]) -> Object | None:
        with self.changed:
            key = self.key(kind, namespace, name)
            before = self._objects.get(key)
            if before is None:
                return None
            after = _copy(before)
            change(after)
            if after == before:
                return _copy(after)
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = before["metadata"].get("generation", 1) + 1
            if after["metadata"].get("deletionTimestamp") and not after["metadata"].get("finalizers"):
                if kind not in ("Namespace", "Pod"):
                    self._drop(key)
                    after = _copy(before)
                else:
                    self._put(key, after, "MODIFIED", before)
            else:
                self._put(key, after, "MODIFIED", before)
        self._tell()
        return _copy(after)

    def delete(self, kind: str, namespace: str, name: str, *, orphan: bool = False) -> bool:
        """With what depends on it. A namespace goes with all that is in it, in a thread."""
        with self.changed:
            key = self.key(kind, namespace, name)
            found = self._objects.get(key)
            if found is None:
                return False
            if kind == "Namespace":
                self._terminate(found, key)
            elif found["metadata"].get("finalizers"):
                after = _copy(found)
                after["metadata"].setdefault("deletionTimestamp", _now())
                self._put(key, after, "MODIFIED", found)
            else:
                self._drop(key)
                if not orphan:
                    self._drop_dependents(found["metadata"]["uid"])
        self._tell()
        return True

    def since(self, version: int) -> list[Happened]:
        """What happened after that version. Raises RefusedError where it is forgotten. Hold `changed`."""
        if version < self.oldest:
            raise too_old()
        return [h for h in self.history if h.version > version]

    def compact(self) -> None:
        with self.changed:
            self.oldest = self._version
            self.history.clear()
            self.changed.notify_all()

    def subscribe(self, callback: Callable[[str, Object], None]) -> Callable[[], None]:
        with self._telling:
            self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    # Inside

    def _put(self, key: Key, document: Object, what: str, before: Object | None) -> None:
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        self._objects[key] = document
        self._happened(what, key, document, before)

    def _drop(self, key: Key) -> None:
        document = self._objects.pop(key)
        self.owners.pop(key, None)
        self._version += 1
        last = _copy(document)
        last["metadata"]["resourceVersion"] = str(self._version)
        self._happened("DELETED", key, last, document)

    def _happened(self, what: str, key: Key, document: Object, before: Object | None) -> None:
        happened = Happened(self._version, what, key, _copy(document), _copy(before))
        self.history.append(happened)
        self._untold.append(happened)
        self.changed.notify_all()

    def _tell(self) -> None:
        """Subscribers hear in order, outside the lock of the state; what they change is told after."""
        with self._telling:
            while True:
                with self.changed:
                    if not self._untold:
                        return
                    happened = self._untold.pop(0)
                for callback in list(self._subscribers):
                    callback(happened.type, _copy(happened.document))

    def _drop_dependents(self, uid: str) -> None:
        for key, document in list(self._objects.items()):
            references: Iterable[Object] = document["metadata"].get("ownerReferences") or ()
            if any(r["uid"] == uid for r in references) and key in self._objects:
                if key[0] == "Pod" and document.get("status", {}).get("phase") == "Running":
                    self._end_pod(key, document)
                    continue
                self._drop(key)
                self._drop_dependents(document["metadata"]["uid"])

    def _end_pod(self, key: Key, document: Object) -> None:
        """A pod that runs ends first; whoever runs it drops it."""
        if self.kubelet and not document["metadata"].get("deletionTimestamp"):
            after = _copy(document)
            after["metadata"]["deletionTimestamp"] = _now()
            after["metadata"]["deletionGracePeriodSeconds"] = 30
            self._put(key, after, "MODIFIED", document)
        elif not self.kubelet:
            self._drop(key)

    def end(self, kind: str, namespace: str, name: str) -> None:
        """Asks a pod to end, as a delete does; whoever runs it calls `drop`."""
        with self.changed:
            key = self.key(kind, namespace, name)
            if (found := self._objects.get(key)) is not None:
                self._end_pod(key, found)
        self._tell()

    def drop(self, kind: str, namespace: str, name: str) -> None:
        """It is gone."""
        with self.changed:
            key = self.key(kind, namespace, name)
            if key in self._objects:
                self._drop(key)
        self._tell()

    def _terminate(self, namespace: Object, key: Key) -> None:
        if namespace.get("status", {}).get("phase") == "Terminating":
            return
        after = _copy(namespace)
        after["metadata"]["deletionTimestamp"] = _now()
        after["status"] = {"phase": "Terminating"}
        self._put(key, after, "MODIFIED", namespace)
        if not self.hold_namespaces:
            threading.Thread(target=self._empty, args=(key,), daemon=True).start()

    def _empty(self, key: Key) -> None:
        name = key[2]
        with self.changed:
            for other, document in list(self._objects.items()):
                if other[1] == name and other in self._objects:
                    if other[0] == "Pod":
                        self._end_pod(other, document)
                    else:
                        self._drop(other)
        self._tell()
        with self.changed:
            while any(other[1] == name for other in self._objects):
                self.changed.wait(1.0)
            if key in self._objects:
                self._drop(key)
        self._tell()

    def _check_namespace(self, namespace: str, resource: Resource, name: str) -> None:
        found = self._objects.get(("Namespace", "", namespace))
        if found is None:
            raise not_found("namespaces", namespace)
        if found.get("status", {}).get("phase") == "Terminating":
            raise RefusedError(
                403,
                "Forbidden",
                f'{resource.plural} "{name}" is forbidden: unable to create new content in namespace {namespace} '
                "because it is being terminated",
                name=name,
                kind=resource.plural,
                causes=[
                    {
                        "reason": "NamespaceTerminating",
                        "message": f"namespace {namespace} is being terminated",
                        "field": "metadata.namespace",
                    }
                ],
            )

    def _default(self, document: Object) -> None:
        kind, spec = document["kind"], document.get("spec")
        if kind == "Namespace":
            document["status"] = {"phase": "Active"}
        elif kind == "Service" and spec is not None and spec.get("type") != "ExternalName":
            if not spec.get("clusterIP"):
                self._addresses += 1
                spec["clusterIP"] = f"10.96.{self._addresses // 256}.{self._addresses % 256}"
            spec.setdefault("type", "ClusterIP")
        elif kind == "Deployment" and spec is not None:
            spec.setdefault("replicas", 1)
        elif kind == "Job" and spec is not None:
            spec.setdefault("parallelism", 1)
            spec.setdefault("completions", 1)
            labels = {"batch.kubernetes.io/controller-uid": document["metadata"]["uid"]}
            spec.setdefault("selector", {"matchLabels": labels})


def _copy(document: T) -> T:
    """As copy.deepcopy, for what is JSON; several times as fast."""
    found: T = marshal.loads(marshal.dumps(cast("Any", document)))
    return found


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
