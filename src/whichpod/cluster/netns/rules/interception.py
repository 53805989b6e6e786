"""The rules by which istio-init turns a pod's traffic to its sidecar (Istio, tools/istio-iptables and
tools/istio-nftables, with the arguments that the injection template gives: everything in and out).

One thing differs. istio-init tells the sidecar's own traffic by its user, 1337. A user namespace made without
privileges has one user only, so here the sidecar marks its packets instead, with the same number.
"""

from __future__ import annotations

OUTBOUND_PORT, INBOUND_PORT, TUNNEL_PORT = 15001, 15006, 15008
EXCLUDED_PORTS = (15090, 15021, 15020)
"""Telemetry and health ports, which aren't intercepted on their way in (istio-init's -d)."""
SIDECAR_MARK = 1337
"""Mark of the packets that the sidecar sends (SO_MARK)."""
_PASSTHROUGH_SOURCE = "127.0.0.6"
_TABLE = "inet istio-proxy-nat"


def iptables() -> str:
    """For iptables-restore, whole."""
    sidecar = f"-m mark --mark {SIDECAR_MARK:#x}"
    other = f"-m mark ! --mark {SIDECAR_MARK:#x}"
    return "\n".join(
        (
            "*nat",
            *(f":{c} ACCEPT [0:0]" for c in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
            *(
                f":{c} - [0:0]"
                for c in ("ISTIO_INBOUND", "ISTIO_REDIRECT", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT")
            ),
            f"-A ISTIO_INBOUND -p tcp --dport {TUNNEL_PORT} -j RETURN",
            f"-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {OUTBOUND_PORT}",
            f"-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {INBOUND_PORT}",
            "-A PREROUTING -p tcp -j ISTIO_INBOUND",
            *(f"-A ISTIO_INBOUND -p tcp --dport {port} -j RETURN" for port in EXCLUDED_PORTS),
            "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
            "-A OUTPUT -p tcp -j ISTIO_OUTPUT",
            f"-A ISTIO_OUTPUT -o lo -s {_PASSTHROUGH_SOURCE}/32 -j RETURN",
            f"-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport {TUNNEL_PORT} {sidecar} "
            "-j ISTIO_IN_REDIRECT",
            f"-A ISTIO_OUTPUT -o lo {other} -j RETURN",
            f"-A ISTIO_OUTPUT {sidecar} -j RETURN",
            "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
            "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
            "COMMIT",
            "",
        )
    )


def nftables() -> str:
    """For `nft -f`, whole."""
    chains = (
        ("prerouting", " { type nat hook prerouting priority -100 ; }"),
        ("output", " { type nat hook output priority -100 ; }"),
        ("istio-inbound", ""),
        ("istio-redirect", ""),
        ("istio-in-redirect", ""),
        ("istio-output", ""),
    )
    rules = (
        ("istio-inbound", f"tcp dport {TUNNEL_PORT} return"),
        ("istio-redirect", f"meta l4proto tcp redirect to :{OUTBOUND_PORT}"),
        ("istio-in-redirect", f"meta l4proto tcp redirect to :{INBOUND_PORT}"),
        ("prerouting", "meta l4proto tcp jump istio-inbound"),
        *(("istio-inbound", f"tcp dport {port} return") for port in EXCLUDED_PORTS),
        ("istio-inbound", "meta l4proto tcp jump istio-in-redirect"),
        ("output", "meta l4proto tcp jump istio-output"),
        ("istio-output", f"oifname lo ip saddr {_PASSTHROUGH_SOURCE}/32 return"),
        (
            "istio-output",
            f"oifname lo ip daddr != 127.0.0.1/32 tcp dport != {TUNNEL_PORT} mark {SIDECAR_MARK} "
            "jump istio-in-redirect",
        ),
        ("istio-output", f"oifname lo mark != {SIDECAR_MARK} return"),
        ("istio-output", f"mark {SIDECAR_MARK} return"),
        ("istio-output", "ip daddr 127.0.0.1/32 return"),
        ("istio-output", "jump istio-redirect"),
    )
    return "\n".join(
        (
            f"add table {_TABLE}",
            f"flush table {_TABLE}",
            *(f"add chain {_TABLE} {name}{hook}" for name, hook in chains),
            *(f"add rule {_TABLE} {chain} {rule}" for chain, rule in rules),
            "",
        )
    )
