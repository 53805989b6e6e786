"""A callee's sidecar to which all connections to its pod are redirected, as istio-init's rules do it.

Source: Istio, pilot/pkg/networking/core, listener_inbound.go (virtualInbound) and cluster.go
(buildInboundClusters).
"""

from __future__ import annotations

from whichpod.manifest.traffic import ConnectionPool
from whichpod.mesh.clusters import base_cluster
from whichpod.mesh.inbound import SOURCE, InboundPort, inbound_ports, mode_of, port_chains
from whichpod.mesh.listeners import chained_listener
from whichpod.mesh.mutual_tls import ORIGINAL_DST
from whichpod.mesh.peers import ports_with_a_mode
from whichpod.mesh.pieces import JsonObject, marked, typed
from whichpod.mesh.protocol import Wire
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import Resources
from whichpod.mesh.virtual_outbound import ANY, BLACK_HOLE, black_hole, black_hole_chain, original_dst

PORT = 15006
"""Where connections to the pod are redirected to."""
PASSTHROUGH = "InboundPassthroughCluster"


def virtual_inbound(registry: Registry, pod: Endpoint, *, mark: int = 0) -> Resources:
    """What istiod gives the sidecar of a pod for the connections that come in.

    All come in at port 15006. Those to a target port of a Service get that port's protocol; the protocol of
    others is sniffed. Mutual TLS is as PeerAuthentications say. They go on to the pod's own address and the
    port that they came for, from 127.0.0.6, as since Istio 1.10: an application must listen on the pod's
    address or on all, as it must without a sidecar.

    `mark` is set on those connections' sockets (SO_MARK; 0 is none). What goes out has the bootstrap's.
    """
    bind = {"upstream_bind_config": {"source_address": {"address": SOURCE, "port_value": 0}}}
    if mark:
        bind["upstream_bind_config"] |= marked(mark)
    clusters: dict[str, JsonObject] = {
        BLACK_HOLE: black_hole(),
        PASSTHROUGH: original_dst(PASSTHROUGH) | bind,
    }
    chains: list[JsonObject] = []
    served = list(inbound_ports(registry, pod))
    named = [n for n in ports_with_a_mode(registry.bundle, pod) if n not in {p.number for p in served}]
    for number in (0, *named):
        other = InboundPort(number, Wire.SNIFFED, ConnectionPool(), str(number), PASSTHROUGH)
        chains += port_chains(other, mode_of(registry, pod, number), PASSTHROUGH, redirected=True)
    for port in served:
        cluster = base_cluster(port.cluster, port.kind, port.pool)
        clusters[port.cluster] = cluster | {"type": ORIGINAL_DST, "lb_policy": "CLUSTER_PROVIDED"} | bind
        chains += port_chains(
            port, mode_of(registry, pod, port.number), f"{ANY}_{port.number}", redirected=True
        )
    name = "virtualInbound"
    found = chained_listener(name, (ANY, PORT), "INBOUND", [black_hole_chain(PORT), *chains])
    destination: JsonObject = {
        "name": "envoy.filters.listener.original_dst",
        "typed_config": typed("filters.listener.original_dst.v3.OriginalDst"),
    }
    found["listener_filters"] = [destination, *found.get("listener_filters", ())]
    return Resources(clusters, {}, {name: found}, {})
