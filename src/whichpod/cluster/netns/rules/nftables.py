"""kube-proxy's rules in nftables mode, as a transaction for `nft -f`.

The source is Kubernetes' pkg/proxy/nftables/proxier.go (setupNFTables, syncProxyRules): its table, chains,
sets, maps and rules. Left out is what a lab has none of: node ports, load balancers, external IPs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whichpod.cluster.netns.rules.portals import MASQUERADE_MARK, Portal

_TABLE = "ip kube-proxy"
_MARK = f"{MASQUERADE_MARK:#x}"
_PORTAL = "ipv4_addr . inet_proto . inet_service : verdict"
_LOOK_UP = "ip daddr . meta l4proto . th dport vmap"
_BASE_CHAINS = (
    ("filter-input", "type filter hook input priority -110"),
    ("filter-forward", "type filter hook forward priority -110"),
    ("filter-output", "type filter hook output priority -110"),
    ("filter-output-post-dnat", "type filter hook output priority -90"),
    ("nat-prerouting", "type nat hook prerouting priority -100"),
    ("nat-output", "type nat hook output priority -100"),
    ("nat-postrouting", "type nat hook postrouting priority 100"),
)
_CHAINS = (
    "cluster-ips-check",
    "mark-for-masquerade",
    "masquerading",
    "reject-chain",
    "services",
    "service-endpoints-check",
)


def kube_proxy(
    portals: Iterable[Portal], pod_cidr: str, service_cidr: str, before: Iterable[Portal] = ()
) -> str:
    """The whole table, in one transaction; `before` is what the last one was made of, where there was one.

    Connections that are under way keep their endpoints, and affinity sets their entries. Chains of endpoints
    that have gone stay, empty: until Linux 6.2 one can't be deleted together with what refers to it, and
    kube-proxy leaves them for a while too. Their affinity is forgotten at once.
    """
    portals = tuple(portals)
    now = _affinity_sets(portals)
    lines = (
        *_frame(service_cidr),
        *(f"delete set {_TABLE} {name}" for name, s in _affinity_sets(before).items() if now.get(name) != s),
        *(line for p in portals for line in _portal(p, pod_cidr)),
        "",
    )
    return "\n".join(lines)


def _frame(service_cidr: str) -> Iterator[str]:
    yield f'add table {_TABLE} {{ comment "rules for kube-proxy" ; }}'
    yield f"flush table {_TABLE}"
    yield f'add set {_TABLE} cluster-ips {{ type ipv4_addr ; comment "Active ClusterIPs" ; }}'
    for name, comment in (
        ("no-endpoint-services", "vmap to drop or reject packets to services with no endpoints"),
        ("service-ips", "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
    ):
        yield f'add map {_TABLE} {name} {{ type {_PORTAL} ; comment "{comment}" ; }}'
        yield f"flush map {_TABLE} {name}"
    yield f"flush set {_TABLE} cluster-ips"
    yield from (f"add chain {_TABLE} {name} {{ {hook} ; }}" for name, hook in _BASE_CHAINS)
    yield from (f"add chain {_TABLE} {name}" for name in _CHAINS)
    for chain, rule in (
        ("filter-input", "ct state new jump service-endpoints-check"),
        ("filter-forward", "ct state new jump service-endpoints-check"),
        ("filter-output", "ct state new jump service-endpoints-check"),
        ("filter-forward", "ct state new jump cluster-ips-check"),
        ("filter-output-post-dnat", "ct state new jump cluster-ips-check"),
        ("nat-output", "jump services"),
        ("nat-prerouting", "jump services"),
        ("nat-postrouting", "jump masquerading"),
        ("mark-for-masquerade", f"mark set mark or {_MARK}"),
        ("masquerading", f"mark and {_MARK} == 0 return"),
        ("masquerading", f"mark set mark xor {_MARK}"),
        ("masquerading", "masquerade fully-random"),
        (
            "cluster-ips-check",
            'ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
        ),
        (
            "cluster-ips-check",
            f'ip daddr {{ {service_cidr} }} drop comment "Drop traffic to unallocated ClusterIPs"',
        ),
        ("reject-chain", "reject"),
        ("service-endpoints-check", f"{_LOOK_UP} @no-endpoint-services"),
        ("services", f"{_LOOK_UP} @service-ips"),
    ):
        yield f"add rule {_TABLE} {chain} {rule}"


def _portal(p: Portal, pod_cidr: str) -> Iterator[str]:
    key = f"{p.address} . {p.protocol} . {p.port}"
    yield f"add element {_TABLE} cluster-ips {{ {p.address} }}"
    if not p.endpoints:
        yield f'add element {_TABLE} no-endpoint-services {{ {key} comment "{p.name}" : goto reject-chain }}'
        return
    service = f"service-{p.nft_base}"
    bases = [p.nft_endpoint_base(e) for e in p.endpoints]
    yield f"add chain {_TABLE} {service}"
    yield from (f"add chain {_TABLE} endpoint-{base}" for base in bases)
    yield (
        f"add rule {_TABLE} {service} ip daddr {p.address} {p.protocol} dport {p.port} "
        f"ip saddr != {pod_cidr} jump mark-for-masquerade"
    )
    if p.affinity_s is not None:
        for base in bases:
            yield (
                f"add set {_TABLE} affinity-{base} "
                f"{{ type ipv4_addr ; flags dynamic,timeout ; timeout {p.affinity_s}s ; }}"
            )
            yield f"add rule {_TABLE} {service} ip saddr @affinity-{base} goto endpoint-{base}"
    choices = " , ".join(f"{n} : goto endpoint-{base}" for n, base in enumerate(bases))
    yield f"add rule {_TABLE} {service} numgen random mod {len(bases)} vmap {{ {choices} }}"
    for base, (host, port) in zip(bases, p.endpoints, strict=True):
        chain = f"endpoint-{base}"
        yield f"add rule {_TABLE} {chain} ip saddr {host} jump mark-for-masquerade"
        if p.affinity_s is not None:
            yield f"add rule {_TABLE} {chain} update @affinity-{base} {{ ip saddr }}"
        yield f"add rule {_TABLE} {chain} meta l4proto {p.protocol} dnat to {host}:{port}"
    yield f"add element {_TABLE} service-ips {{ {key} : goto {service} }}"


def _affinity_sets(portals: Iterable[Portal]) -> dict[str, int]:
    """Their names and timeouts, which can't be changed."""
    return {
        f"affinity-{p.nft_endpoint_base(e)}": p.affinity_s
        for p in portals
        if p.affinity_s is not None
        for e in p.endpoints
    }
