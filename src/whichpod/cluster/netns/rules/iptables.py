"""kube-proxy's rules in iptables mode, as it hands them to iptables-restore.

The source is Kubernetes' pkg/proxy/iptables/proxier.go (syncProxyRules), and the chains, comments and the
order of the rules are its. Left out is what a lab has none of: node ports, load balancers, external IPs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whichpod.cluster.netns.rules.portals import MASQUERADE_MARK, Portal

_MARK = f"{MASQUERADE_MARK:#x}"


def kube_proxy(portals: Iterable[Portal], pod_cidr: str) -> str:
    """Both tables whole: loaded without --noflush, chains that aren't named are gone, and each table changes
    at once. Connections that are under way keep their endpoints, and `recent` lists that are still named keep
    their entries."""
    portals = tuple(portals)
    return "\n".join((*_filter(portals), *_nat(portals, pod_cidr), ""))


def _filter(portals: tuple[Portal, ...]) -> Iterator[str]:
    new = "-m conntrack --ctstate NEW"
    yield "*filter"
    yield from (":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]")
    yield from (":KUBE-SERVICES - [0:0]", ":KUBE-FORWARD - [0:0]")
    for chain in ("FORWARD", "OUTPUT"):
        yield f'-A {chain} {new} -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    yield '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD'
    for p in portals:
        if not p.endpoints:
            yield f"-A KUBE-SERVICES {_comment(f'{p.name} has no endpoints')} {_to(p)} -j REJECT"
    yield "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP"
    yield (
        f'-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark {_MARK}/{_MARK} '
        "-j ACCEPT"
    )
    yield (
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
        "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )
    yield "COMMIT"


def _nat(portals: tuple[Portal, ...], pod_cidr: str) -> Iterator[str]:
    served = [p for p in portals if p.endpoints]
    yield "*nat"
    yield from (f":{c} ACCEPT [0:0]" for c in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"))
    yield from (f":{c} - [0:0]" for c in ("KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-POSTROUTING"))
    for p in served:
        yield f":{p.chain} - [0:0]"
        yield from (f":{p.endpoint_chain(e)} - [0:0]" for e in p.endpoints)
    for chain in ("PREROUTING", "OUTPUT"):
        yield f'-A {chain} -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    yield '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING'
    yield f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK}/{_MARK} -j RETURN"
    yield f"-A KUBE-POSTROUTING -j MARK --xor-mark {_MARK}"
    yield (
        '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" '
        "-j MASQUERADE --random-fully"
    )
    yield f"-A KUBE-MARK-MASQ -j MARK --or-mark {_MARK}"
    for p in served:
        yield f"-A KUBE-SERVICES {_comment(f'{p.name} cluster IP')} {_to(p)} -j {p.chain}"
    for p in served:
        yield from _service(p, pod_cidr)
    yield "COMMIT"


def _service(p: Portal, pod_cidr: str) -> Iterator[str]:
    yield f"-A {p.chain} {_comment(f'{p.name} cluster IP')} {_to(p)} ! -s {pod_cidr} -j KUBE-MARK-MASQ"
    for endpoint in p.endpoints if p.affinity_s is not None else ():
        chain = p.endpoint_chain(endpoint)
        yield (
            f"-A {p.chain} {_arrow(p, endpoint)} -m recent --name {chain} --rcheck "
            f"--seconds {p.affinity_s} --reap -j {chain}"
        )
    left = len(p.endpoints)
    for endpoint in p.endpoints:
        # Of those that come so far, one in as many as are left; the last takes all.
        chance = f" -m statistic --mode random --probability {probability(left)}" if left > 1 else ""
        yield f"-A {p.chain} {_arrow(p, endpoint)}{chance} -j {p.endpoint_chain(endpoint)}"
        left -= 1
    for endpoint in p.endpoints:
        chain, (host, port) = p.endpoint_chain(endpoint), endpoint
        yield f"-A {chain} {_comment(p.name)} -s {host} -j KUBE-MARK-MASQ"
        sticky = f" -m recent --name {chain} --set" if p.affinity_s is not None else ""
        yield (
            f"-A {chain} {_comment(p.name)}{sticky} -m {p.protocol} -p {p.protocol} "
            f"-j DNAT --to-destination {host}:{port}"
        )


def probability(left: int) -> str:
    """That of an endpoint when so many are left (computeProbability)."""
    return f"{1 / left:.10f}"


def _to(p: Portal) -> str:
    return f"-m {p.protocol} -p {p.protocol} -d {p.address} --dport {p.port}"


def _arrow(p: Portal, endpoint: tuple[str, int]) -> str:
    return _comment(f"{p.name} -> {endpoint[0]}:{endpoint[1]}")


def _comment(text: str) -> str:
    shown = f'"{text}"' if " " in text else text
    return f"-m comment --comment {shown}"
