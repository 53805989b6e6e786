"""A bundle's objects as Kubernetes takes them."""

from __future__ import annotations

import copy
from typing import Any

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment


def documents(bundle: Bundle) -> list[dict[str, Any]]:
    """The objects as they were written, with what the bundle has changed since: the number of replicas and
    the containers' arguments. They are the caller's own."""
    deployments = {(d.meta.namespace, d.meta.name): d for d in bundle.deployments}
    found = []
    for document in bundle.documents:
        own: dict[str, Any] = copy.deepcopy(dict(document))
        if own["kind"] == "Deployment":
            _update(
                own["spec"], deployments[own["metadata"].get("namespace", "default"), own["metadata"]["name"]]
            )
        found.append(own)
    return found


def _update(spec: dict[str, Any], deployment: Deployment) -> None:
    spec["replicas"] = deployment.replicas
    args = {container.name: container.args for container in deployment.containers}
    for container in spec["template"]["spec"]["containers"]:
        if container["name"] in args and tuple(container.get("args", ())) != args[container["name"]]:
            container["args"] = list(args[container["name"]])
