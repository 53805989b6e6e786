"""A set of manifests that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from whichpod.manifest.kinds import ConfigMap, Deployment, Holder, Namespace, Node, Note, Secret, Service
from whichpod.manifest.routing import GrpcRoute, VirtualService
from whichpod.manifest.traffic import DestinationRule, PeerAuthentication
from whichpod.model.errors import UsageError

T = TypeVar("T", ConfigMap, Secret)
INJECT = "sidecar.istio.io/inject"
"""Label of a pod (formerly an annotation) that asks for or refuses a sidecar."""
ROOT_NAMESPACE = "istio-system"
"""Where policies of the whole mesh stand (meshConfig.rootNamespace's default)."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was read, in the order of reading."""

    deployments: tuple[Deployment, ...] = ()
    """The workloads, Deployments or not: see `Deployment.kind`."""
    services: tuple[Service, ...] = ()
    config_maps: tuple[ConfigMap, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    destination_rules: tuple[DestinationRule, ...] = ()
    virtual_services: tuple[VirtualService, ...] = ()
    """Those that GRPCRoutes stand for included."""
    peer_authentications: tuple[PeerAuthentication, ...] = ()
    secrets: tuple[Secret, ...] = ()
    nodes: tuple[Node, ...] = ()
    grpc_routes: tuple[GrpcRoute, ...] = ()
    notes: tuple[Note, ...] = ()
    """What has no effect in a lab; worth showing to the user once."""
    documents: tuple[Mapping[str, Any], ...] = field(default=(), compare=False, repr=False)
    """The objects as they were written, for a real cluster. `documents.documents` brings them up to date."""

    def scaled(self, deployment: str, replicas: int) -> Bundle:
        """The same with another number of replicas. `deployment` is NAME or NAMESPACE/NAME.

        Raises UsageError when there is no such workload, when it has no replicas (a DaemonSet, a Pod) or when
        the number is negative.
        """
        if replicas < 0:
            raise UsageError(f"{replicas} replicas of {deployment} are not possible.", fix="Give 0 or more.")
        found = self.deployment(deployment)
        if found.kind in ("DaemonSet", "Pod"):
            raise UsageError(f"{deployment} is a {found.kind}, which has no number of replicas.")
        return replace(
            self,
            deployments=tuple(replace(d, replicas=replicas) if d is found else d for d in self.deployments),
        )

    def deployment(self, name: str) -> Deployment:
        """The workload called NAME (of any namespace) or NAMESPACE/NAME. Raises UsageError."""
        for d in self.deployments:
            if name in (d.meta.name, f"{d.meta.namespace}/{d.meta.name}"):
                return d
        raise _missing("Deployment", name, [d.meta.name for d in self.deployments])

    def service(self, name: str) -> Service:
        """The Service called NAME (of any namespace) or NAMESPACE/NAME. Raises UsageError."""
        for s in self.services:
            if name in (s.meta.name, f"{s.meta.namespace}/{s.meta.name}"):
                return s
        raise _missing("Service", name, [s.meta.name for s in self.services])

    def config_map(self, name: str, namespace: str = "default") -> ConfigMap | None:
        """The ConfigMap of that name, if there is one."""
        return _named(self.config_maps, name, namespace)

    def held(self, kind: Holder, name: str, namespace: str = "default") -> ConfigMap | Secret | None:
        """The ConfigMap or Secret of that name, if there is one."""
        if kind == "ConfigMap":
            return self.config_map(name, namespace)
        return _named(self.secrets, name, namespace)

    def behind(self, service: Service) -> tuple[Deployment, ...]:
        """The Deployments whose pods `service` selects."""
        return tuple(
            d for d in self.deployments if any(service.selects(d.meta.namespace, p) for p in d.labels())
        )

    def injected(self, deployment: Deployment) -> bool:
        """Whether Istio would give the pods a sidecar.

        The pod's label `sidecar.istio.io/inject` decides, then the annotation of that name, then the
        namespace's label `istio-injection`; a namespace's `disabled` beats all
        (istio.io, Installing the sidecar).
        """
        namespace = next(
            (n.meta.labels for n in self.namespaces if n.meta.name == deployment.meta.namespace), {}
        )
        by_namespace = namespace.get("istio-injection", "")
        asked = deployment.pod_labels.get(INJECT) or deployment.pod_annotations.get(INJECT)
        if by_namespace == "disabled":
            return False
        return asked == "true" if asked else by_namespace == "enabled"


def _named(objects: tuple[T, ...], name: str, namespace: str) -> T | None:
    return next((o for o in objects if (o.meta.name, o.meta.namespace) == (name, namespace)), None)


def _missing(kind: str, name: str, known: list[str]) -> UsageError:
    listed = ", ".join(known) or "none"
    return UsageError(f"The manifests have no {kind} {name!r}.", fix=f"There are: {listed}.")
