"""How pods are wired to their node: a pair of virtual Ethernet devices each, routed point to point.

The reference plugin `ptp` of the Container Network Interface, which kind's clusters use, does the same: the
pod has its address as a /32 and everything goes through the gateway; the node has the gateway's address on
its end of every pair, and a route for the pod. There is no bridge, so no packet passes the node's rules by.

These functions run in a process of their own within the node's namespaces: see node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whichpod.cluster.netns.syscalls import CLONE_NEWNET, setns

_LINK_SCOPE = 253
"""RT_SCOPE_LINK: the destination is at the other end of the device."""
_LOOPBACK = 1


@dataclass(frozen=True, slots=True)
class Wire:
    """A pod to be wired."""

    number: int
    """Unique in the node."""
    net: int
    """A descriptor of the pod's network namespace."""
    address: str


@dataclass(frozen=True, slots=True)
class Uplink:
    """What leads out of a node. Nothing is there, and it says so at once, but packets to whatever address are
    routed, as they must be for rules on forwarded ones to see them."""

    node: str
    outside: str
    """The node's address, and the one at the other end."""
    pod_cidr: str
    net: int
    """A descriptor of the network namespace at the other end."""


def set_up_node(own: Iterable[str], uplink: Uplink) -> None:
    """The node's devices, with `own` addresses besides; ends in the namespace at the other end of the uplink.

    Raises OSError.
    """
    with _netlink() as link:
        _forwarding(link)
        for address in own:
            link.addr("add", index=_LOOPBACK, address=address, prefixlen=32)
        link.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": uplink.net})
        _end_of_uplink(link, uplink.node, dst="0.0.0.0/0", gateway=uplink.outside)
    setns(uplink.net, CLONE_NEWNET)
    with _netlink() as link:
        _forwarding(link)
        _end_of_uplink(link, uplink.outside, dst=uplink.pod_cidr, gateway=uplink.node)


def _forwarding(link: Any) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    link.link("set", index=_LOOPBACK, state="up")


def _end_of_uplink(link: Any, address: str, **route: str) -> None:
    (index,) = link.link_lookup(ifname="eth0")
    link.addr("add", index=index, address=address, prefixlen=16)
    link.link("set", index=index, state="up")
    link.route("add", oif=index, **route)


def wire(wires: Iterable[Wire], gateway: str) -> None:
    """Wires pods; ends in the network namespace of the last one. Raises OSError."""
    wires = list(wires)
    with _netlink() as link:
        for one in wires:
            _node_end(link, one, gateway)
    for one in wires:
        setns(one.net, CLONE_NEWNET)
        with _netlink() as link:
            link.link("set", index=_LOOPBACK, state="up")
            _pod_end(link, one, gateway)


def _node_end(link: Any, one: Wire, gateway: str) -> None:
    name = f"veth{one.number}"
    link.link("add", ifname=name, kind="veth", peer={"ifname": "eth0", "net_ns_fd": one.net})
    (index,) = link.link_lookup(ifname=name)
    link.addr("add", index=index, address=gateway, prefixlen=32)
    link.link("set", index=index, state="up")
    link.route("add", dst=f"{one.address}/32", oif=index, scope=_LINK_SCOPE)


def _pod_end(link: Any, one: Wire, gateway: str) -> None:
    (index,) = link.link_lookup(ifname="eth0")
    link.addr("add", index=index, address=one.address, prefixlen=32)
    link.link("set", index=index, state="up")
    link.route("add", dst=f"{gateway}/32", oif=index, scope=_LINK_SCOPE)
    link.route("add", dst="0.0.0.0/0", gateway=gateway, oif=index)


def _netlink() -> Any:
    from pyroute2 import IPRoute

    return IPRoute()
