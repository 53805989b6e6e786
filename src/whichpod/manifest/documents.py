"""A bundle's objects as Kubernetes takes them."""

from __future__ import annotations

import copy
from typing import Any

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment


def documents(bundle: Bundle) -> list[dict[str, Any]]:
    """The objects as they were written, with what the bundle has changed since: the number of replicas and
    the containers' arguments. They are the caller's own."""
    workloads = {(d.kind, d.meta.namespace, d.meta.name): d for d in bundle.deployments}
    found = []
    for document in bundle.documents:
        own: dict[str, Any] = copy.deepcopy(dict(document))
        meta = own["metadata"]
        workload = workloads.get((own["kind"], meta.get("namespace", "default"), meta["name"]))
        if workload:
            _update(own["spec"], workload)
        found.append(own)
    return found


def _update(spec: dict[str, Any], workload: Deployment) -> None:
    if workload.kind not in ("DaemonSet", "Pod"):
        spec["replicas"] = workload.replicas
    args = {container.name: container.args for container in workload.containers}
    pod = spec if workload.kind == "Pod" else spec["template"]["spec"]
    for container in pod["containers"]:
        if container["name"] in args and tuple(container.get("args", ())) != args[container["name"]]:
            container["args"] = list(args[container["name"]])
