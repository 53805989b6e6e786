"""A cluster that isn't one: API server, controllers, a kubelet whose pods are processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kubernetes.standin.controllers import Controllers
from tests.kubernetes.standin.gateway import Gateways, gateway_class
from tests.kubernetes.standin.kubelet import Kubelet
from tests.kubernetes.standin.server import ApiServer
from tests.kubernetes.standin.troubles import Troubles

IMAGE = "registry.example/whichpod:1"


@dataclass(frozen=True, slots=True)
class StandIn:
    server: ApiServer
    kubelet: Kubelet
    troubles: Troubles
    kubeconfig: Path
    gateways: Gateways
    image: str = IMAGE


@contextmanager
def cluster(
    directory: Path,
    *,
    istio: bool = True,
    native_sidecars: bool = False,
    version: str = "1.32",
    tls: bool = False,
    gateway: bool = False,
) -> Iterator[StandIn]:
    """`gateway`: it has the Gateway API, and with Istio a controller for it."""
    troubles = Troubles()
    server = ApiServer(version=version, istio=istio, gateway=gateway, certificates=directory if tls else None)
    if gateway and istio:
        server.store.create(gateway_class())
    for document in _furniture(istio=istio, native=native_sidecars):
        server.store.create(document)
    controllers = Controllers(server.store, troubles, istio=istio, native_sidecars=native_sidecars)
    with server, Kubelet(server, troubles, IMAGE) as kubelet, controllers:
        yield StandIn(server, kubelet, troubles, server.kubeconfig(directory), controllers.gateways)


def _furniture(*, istio: bool, native: bool) -> Iterator[dict[str, Any]]:
    for name in ("node-1", "node-2"):
        yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    yield {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]},
    }
    if not istio:
        return
    yield {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "istio-sidecar-injector", "labels": {"istio.io/rev": "default"}},
    }
    env = [{"name": "ENABLE_NATIVE_SIDECARS", "value": str(native).lower()}]
    pilot = {"name": "discovery", "image": "docker.io/istio/pilot:1.27.1-distroless", "env": env}
    labels = {"app": "istiod"}
    yield {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [pilot]}},
        },
    }
