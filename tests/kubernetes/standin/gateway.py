"""What a controller of the Gateway API does, without a proxy: takes gateways and routes, and says so.

`Network` has the traffic: a gateway's Service leads to the pods of the Service that its routes name.
"""

from __future__ import annotations

from typing import Any

from tests.kubernetes.standin.store import Object, Store

GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
CONTROLLER = "istio.io/gateway-controller"


def gateway_class(name: str = "istio") -> Object:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": CONTROLLER},
        "status": {"conditions": [_condition("Accepted", True, "Accepted")]},
    }


class Gateways:
    """Reconciles what the store has. `refuses`: why it takes no route; `unassigned`: gateways get no address."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refuses = ""
        self.unassigned = False

    def gateway(self, gateway: Object) -> None:
        metadata, spec = gateway["metadata"], gateway["spec"]
        if self._store.get("GatewayClass", "", spec["gatewayClassName"]) is None:
            return  # nobody's
        namespace, name = metadata["namespace"], f"{metadata['name']}-istio"
        if self._store.get("Service", namespace, name) is None:
            ports = [{"name": p["name"], "port": p["port"], "protocol": "TCP"} for p in spec["listeners"]]
            owner = {"apiVersion": gateway["apiVersion"], "kind": "Gateway", "name": metadata["name"]}
            self._store.create(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {
                        "name": name,
                        "namespace": namespace,
                        "labels": {GATEWAY_NAME: metadata["name"]},
                        "ownerReferences": [owner | {"uid": metadata["uid"], "controller": True}],
                    },
                    "spec": {"ports": ports},
                }
            )
        programmed = _condition("Programmed", True, "Programmed")
        if self.unassigned:
            programmed = _condition("Programmed", False, "AddressNotAssigned", "no load balancer")
        status: Object = {"conditions": [_condition("Accepted", True, "Accepted"), programmed]}
        if not self.unassigned:
            address = f"{name}.{namespace}.svc.cluster.local"
            status["addresses"] = [{"type": "Hostname", "value": address}]
        self._say(gateway, status)

    def route(self, route: Object) -> None:
        parents = []
        for reference in route["spec"].get("parentRefs") or ():
            known = self._store.get(
                reference.get("kind", "Gateway"), route["metadata"]["namespace"], reference["name"]
            )
            accepted = _condition("Accepted", True, "Accepted")
            if known is None or self.refuses:
                accepted = _condition("Accepted", False, "NoMatchingParent", self.refuses or "no such parent")
            conditions = [accepted, _condition("ResolvedRefs", True, "ResolvedRefs")]
            parents.append({"parentRef": reference, "controllerName": CONTROLLER, "conditions": conditions})
        self._say(route, {"parents": parents})

    def _say(self, document: Object, status: Object) -> None:
        metadata = document["metadata"]
        self._store.update(
            document["kind"], metadata["namespace"], metadata["name"], lambda d: d.update(status=status)
        )


def behind(store: Store, service: Object) -> tuple[str, int] | None:
    """The Service, and its port, that a gateway's own leads to; None for any other Service."""
    name = (service["metadata"].get("labels") or {}).get(GATEWAY_NAME)
    if not name:
        return None
    for route in store.objects("GRPCRoute", service["metadata"]["namespace"]):
        if any(p["name"] == name for p in route["spec"]["parentRefs"]):
            backend: dict[str, Any] = route["spec"]["rules"][0]["backendRefs"][0]
            return str(backend["name"]), int(backend["port"])
    return None


def _condition(kind: str, state: bool, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": str(state), "reason": reason, "message": message}
