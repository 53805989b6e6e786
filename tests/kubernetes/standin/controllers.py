"""Deployments make pods, Jobs make pods, Services get EndpointSlices: what controllers do, without haste."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import uuid
from typing import Any

from tests.kubernetes.standin.gateway import Gateways
from tests.kubernetes.standin.status import RefusedError
from tests.kubernetes.standin.store import Object, Store
from tests.kubernetes.standin.troubles import REFUSALS, Troubles

INJECT = "sidecar.istio.io/inject"
_MOST = 100
"""Endpoints of a slice."""


class Controllers:
    """Work while entered: each change of the store is looked at once."""

    def __init__(self, store: Store, troubles: Troubles, *, istio: bool, native_sidecars: bool) -> None:
        self._store = store
        self._troubles = troubles
        self.gateways = Gateways(store)
        self._istio = istio
        self._native = native_sidecars
        self._ending = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Controllers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._store.changed:
            self._ending = True
            self._store.changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        seen = -1
        while True:
            with self._store.changed:
                while self._store.version == seen and not self._ending:
                    self._store.changed.wait()
                if self._ending:
                    return
                seen = self._store.version
            for kind, reconcile in (
                ("Deployment", self._deployment),
                ("StatefulSet", self._set),
                ("DaemonSet", self._set),
                ("Job", self._job),
                ("Service", self._service),
                ("Gateway", self.gateways.gateway),
                ("GRPCRoute", self.gateways.route),
            ):
                for document in self._store.objects(kind):
                    # What is deleted meanwhile, or a namespace that ends, is seen next time.
                    with contextlib.suppress(RefusedError):
                        reconcile(document)

    def _deployment(self, deployment: Object) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        namespace, template = metadata["namespace"], spec["template"]
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:9]
        name = f"{metadata['name']}-{digest}"
        owned = self._store.get("ReplicaSet", namespace, name)
        if owned is None:
            labels = {**template["metadata"]["labels"], "pod-template-hash": digest}
            owned = self._store.create(
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "metadata": {"name": name, "namespace": namespace, "labels": labels}
                    | _owned_by(deployment),
                    "spec": {
                        "replicas": spec["replicas"],
                        "selector": spec["selector"],
                        "template": template,
                    },
                }
            )
        for old in self._store.objects("ReplicaSet", namespace):
            if _is_owned(old, deployment) and old["metadata"]["name"] != name:
                self._store.delete("ReplicaSet", namespace, old["metadata"]["name"])
        pods = [p for p in self._of(owned, namespace) if not p["metadata"].get("deletionTimestamp")]
        refused = ""
        for _ in range(spec["replicas"] - len(pods)):
            labels = owned["metadata"]["labels"]
            refused = self._make(owned, f"{name}-{uuid.uuid4().hex[:5]}", labels, template)
        for pod in pods[spec["replicas"] :]:
            self._store.end("Pod", namespace, pod["metadata"]["name"])
        ready = sum(_is_ready(p) for p in pods)
        status: Object = {
            "observedGeneration": metadata["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [{"type": "Available", "status": str(ready >= spec["replicas"])}],
        }
        if refused:
            failure = {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": refused,
            }
            status["conditions"].append(failure)
        elif any(c["type"] == "ReplicaFailure" for c in deployment.get("status", {}).get("conditions", ())):
            return  # as long as it isn't known to be over
        self._say(deployment, status)

    def _set(self, owner: Object) -> None:
        """A StatefulSet's pods have numbers, a DaemonSet's are one for each node."""
        metadata, spec = owner["metadata"], owner["spec"]
        wanted = [f"{metadata['name']}-{n}" for n in range(int(spec.get("replicas", 1)))]
        if owner["kind"] == "DaemonSet":
            wanted = [f"{metadata['name']}-{n['metadata']['name']}" for n in self._store.objects("Node")]
        pods = {p["metadata"]["name"]: p for p in self._of(owner, metadata["namespace"])}
        for name in wanted:
            if name not in pods and "template" in spec:
                self._make(owner, name, {}, spec["template"])
        ready = sum(map(_is_ready, pods.values()))
        status = {"observedGeneration": metadata["generation"], "replicas": len(pods), "readyReplicas": ready}
        if owner["kind"] == "DaemonSet":
            status |= {"desiredNumberScheduled": len(wanted)}
        self._say(owner, status)

    def _job(self, job: Object) -> None:
        metadata, spec = job["metadata"], job["spec"]
        namespace, name = metadata["namespace"], metadata["name"]
        pods = self._of(job, namespace)
        indexed = spec.get("completionMode") == "Indexed"
        done = [p for p in pods if p.get("status", {}).get("phase") in ("Succeeded", "Failed")]
        known = job.get("status", {})
        over = any(c["type"] in ("Complete", "Failed") for c in known.get("conditions", ()))
        if over or spec.get("suspend"):
            return
        made = int(known.get("made", 0))
        for index in range(made, spec["parallelism"]):
            labels = {
                "job-name": name,
                "batch.kubernetes.io/job-name": name,
                "batch.kubernetes.io/controller-uid": metadata["uid"],
            }
            extra: dict[str, str] = {}
            if indexed:
                extra = {"batch.kubernetes.io/job-completion-index": str(index)}
                labels |= extra
            pod = f"{name}-{index}-{uuid.uuid4().hex[:5]}" if indexed else f"{name}-{uuid.uuid4().hex[:5]}"
            if self._make(job, pod, labels, spec["template"], extra):
                break
            made = index + 1
        succeeded = sum(p["status"]["phase"] == "Succeeded" for p in done)
        failed = len(done) - succeeded
        status: Object = {
            "active": len(pods) - len(done),
            "succeeded": succeeded,
            "failed": failed,
            "made": made,
        }
        if succeeded == spec["completions"]:
            status["conditions"] = [{"type": "Complete", "status": "True"}]
        elif failed and len(done) == spec["completions"]:
            reason = "FailedIndexes" if indexed else "BackoffLimitExceeded"
            status["conditions"] = [{"type": "Failed", "status": "True", "reason": reason}]
        self._say(job, status)

    def _service(self, service: Object) -> None:
        metadata, spec = service["metadata"], service["spec"]
        if not spec.get("selector"):
            return
        namespace, name = metadata["namespace"], metadata["name"]
        pods = [
            p
            for p in self._store.objects("Pod", namespace, spec["selector"])
            if (p.get("status") or {}).get("podIP") and p["status"].get("phase") == "Running"
        ]
        pieces = [pods[at : at + _MOST] for at in range(0, len(pods), _MOST)] or [[]]
        for number, piece in enumerate(pieces):
            self._slice(service, f"{name}-{number}", piece, namespace)
        for old in self._store.objects("EndpointSlice", namespace, {"kubernetes.io/service-name": name}):
            if int(old["metadata"]["name"].rpartition("-")[2]) >= len(pieces):
                self._store.delete("EndpointSlice", namespace, old["metadata"]["name"])

    def _slice(self, service: Object, name: str, pods: list[Object], namespace: str) -> None:
        ports = [
            {"name": p.get("name", ""), "port": _target(p, pods), "protocol": "TCP"}
            for p in service["spec"]["ports"]
        ]
        labels = {"kubernetes.io/service-name": service["metadata"]["name"]}
        metadata = {"name": name, "namespace": namespace, "labels": labels} | _owned_by(service)
        body = {"addressType": "IPv4", "ports": ports, "endpoints": [_endpoint(p) for p in pods]}
        if self._store.get("EndpointSlice", namespace, name) is None:
            kind = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
            self._store.create({**kind, "metadata": metadata, **body})
        else:
            self._store.update("EndpointSlice", namespace, name, lambda d: d.update(body))

    def _make(
        self,
        owner: Object,
        name: str,
        labels: dict[str, str],
        template: Object,
        annotations: dict[str, str] | None = None,
    ) -> str:
        """Makes a pod; returns why it was refused."""
        said = template.get("metadata") or {}
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": owner["metadata"]["namespace"],
                "labels": {**(said.get("labels") or {}), **labels},
                "annotations": {**(said.get("annotations") or {}), **(annotations or {})},
            }
            | _owned_by(owner),
            "spec": json.loads(json.dumps(template["spec"])),
            "status": {"phase": "Pending"},
        }
        trouble = self._troubles.of(pod)
        if trouble in REFUSALS:
            message = f"Error creating: {REFUSALS[trouble].format(name=name)}"
            self._warn(owner, "FailedCreate", message)
            return message
        if self._istio and pod["metadata"]["labels"].get(INJECT) == "true" and trouble != "no-sidecar":
            proxy = {"name": "istio-proxy", "image": "docker.io/istio/proxyv2:1.27.1"}
            if self._native:
                pod["spec"].setdefault("initContainers", []).append(proxy | {"restartPolicy": "Always"})
            else:
                pod["spec"]["containers"].append(proxy)
        self._store.create(pod)
        return ""

    def _warn(self, about: Object, reason: str, message: str) -> None:
        metadata = about["metadata"]
        name = f"{metadata['name']}.{reason.lower()}"
        if self._store.get("Event", metadata["namespace"], name) is None:
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": metadata["namespace"]},
                "involvedObject": {"kind": about["kind"], "name": metadata["name"]},
            }
            self._store.create({**event, "reason": reason, "message": message, "type": "Warning"})

    def _of(self, owner: Object, namespace: str) -> list[Object]:
        return [p for p in self._store.objects("Pod", namespace) if _is_owned(p, owner)]

    def _say(self, document: Object, status: Object) -> None:
        metadata = document["metadata"]
        self._store.update(
            document["kind"], metadata["namespace"], metadata["name"], lambda d: d.update(status=status)
        )


def _owned_by(owner: Object) -> dict[str, Any]:
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    return {"ownerReferences": [{**reference, "name": metadata["name"], "uid": metadata["uid"]}]}


def _is_owned(document: Object, owner: Object) -> bool:
    uid = owner["metadata"]["uid"]
    return any(r["uid"] == uid for r in document["metadata"].get("ownerReferences") or ())


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _target(port: Object, pods: list[Object]) -> int:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for known in container.get("ports") or ():
                if known.get("name") == target:
                    return int(known["containerPort"])
    return int(port["port"])


def _endpoint(pod: Object) -> Object:
    ending = bool(pod["metadata"].get("deletionTimestamp"))
    ready = _is_ready(pod) and not ending
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": _is_ready(pod), "terminating": ending},
        "targetRef": {
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"],
        },
        "nodeName": pod["spec"].get("nodeName", "node-1"),
    }
