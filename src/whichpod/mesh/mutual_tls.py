"""Whether a caller's sidecar speaks TLS to a destination: automatic mutual TLS, and a DestinationRule's word.

Source: Istio, pilot/pkg/networking/core/cluster_tls.go and cluster_builder.go (buildUpstreamTLSSettings),
pilot/pkg/model/push_context.go (BestEffortInferServiceMTLSMode), pilot/pkg/xds/endpoints/mtls_checker.go.
"""

from __future__ import annotations

from collections.abc import Callable

from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.traffic import ClientTls, Subset, TrafficPolicy
from whichpod.mesh import tls
from whichpod.mesh.caller import Caller
from whichpod.mesh.clusters import HTTP_OPTIONS
from whichpod.mesh.identity import spiffe
from whichpod.mesh.peers import mode_for, namespace_mode
from whichpod.mesh.pieces import JsonObject
from whichpod.mesh.protocol import Wire
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.rules import rule_for

TAKES_TLS: JsonObject = {"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}
"""Metadata of an endpoint whose sidecar takes mutual TLS."""
ORIGINAL_DST = "ORIGINAL_DST"


def secured(
    registry: Registry,
    service: Service,
    port: ServicePort,
    kind: Wire,
    policy: TrafficPolicy,
    subset: Subset | None,
    cluster: JsonObject,
) -> JsonObject:
    """A destination's cluster with its transport sockets.

    Without a word in the DestinationRule it is told by endpoint: TLS to those that take it, plain text to the
    others. ISTIO_MUTUAL is TLS to all, DISABLE to none. A cluster that passes connections on to where they
    were going has no endpoints: there it is TLS if all pods of the Service have a sidecar.
    """
    given = policy.tls
    passing = cluster["type"] == ORIGINAL_DST
    if not registry.mutual_tls or (given and given.mode == "DISABLE"):
        return cluster
    if given is None and not _inferred(registry, service, port, passing=passing):
        return cluster
    socket = _socket(registry, service, port, kind, given, subset, cluster)
    if given or passing:
        return cluster | {"transport_socket": socket}
    return cluster | {
        "transport_socket_matches": [
            {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": socket},
            {"name": "tlsMode-disabled", "match": {}, "transport_socket": tls.PLAIN},
        ]
    }


def metadata(
    registry: Registry, service: Service, port: ServicePort, subset: Subset | None, caller: Caller
) -> Callable[[Endpoint, int], JsonObject | None]:
    """The metadata of a destination's endpoints, which says which of them take mutual TLS, for a caller.

    As istiod does: a subset does not inherit the destination's `tls` here, and a port of it does.
    """
    rule = rule_for(registry.bundle, service, caller.namespace, caller.labels)
    policy = subset.policy if subset else rule.policy if rule else None
    given = policy.tls if policy else None
    for number, own in policy.ports if policy else ():
        if number == port.port:
            given = own.tls or given

    modes: dict[tuple[str, frozenset[tuple[str, str]], int], bool] = {}

    def of(pod: Endpoint, number: int) -> JsonObject | None:
        if given:
            return TAKES_TLS if given.mode == "ISTIO_MUTUAL" else None
        if not pod.meshed:
            return None
        alike = pod.namespace, frozenset(pod.labels.items()), number
        takes = modes.get(alike)
        if takes is None:
            takes = modes[alike] = mode_for(registry.bundle, pod, number) != "DISABLE"
        return TAKES_TLS if takes else None

    return of if registry.mutual_tls else lambda _pod, _port: None


def _inferred(registry: Registry, service: Service, port: ServicePort, *, passing: bool) -> bool:
    if passing:
        pods = [pod for pod, _ in registry.behind(service, port)]
        if not pods or not all(pod.meshed for pod in pods):
            return False
    return namespace_mode(registry.bundle, service.meta.namespace) != "DISABLE"


def _socket(
    registry: Registry,
    service: Service,
    port: ServicePort,
    kind: Wire,
    given: ClientTls | None,
    subset: Subset | None,
    cluster: JsonObject,
) -> JsonObject:
    names = given.subject_alt_names if given else None
    if names is None:
        names = tuple(sorted(_accounts(registry, service)))
    sni = (given.sni if given else "") or (
        f"outbound_.{port.port}_.{subset.name if subset else ''}_.{service.host}"
    )
    return tls.upstream(_offered(kind, cluster), sni, names)


def _accounts(registry: Registry, service: Service) -> set[str]:
    """The identities of a Service's pods, ready or not."""
    return {spiffe(e.namespace, e.service_account) for e in registry.selected(service)}


def _offered(kind: Wire, cluster: JsonObject) -> tls.Alpn:
    options = cluster.get("typed_extension_protocol_options", {}).get(HTTP_OPTIONS, {})
    if "http2_protocol_options" in options.get("explicit_http_config", {}):
        return tls.OFFERED_HTTP2
    if kind is Wire.HTTP and "use_downstream_protocol_config" not in options:
        return tls.OFFERED_HTTP1
    return tls.OFFERED_TCP
