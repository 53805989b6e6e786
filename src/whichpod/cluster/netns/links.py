"""How pods are wired to their node: a pair of virtual Ethernet devices each, routed point to point.

The reference plugin `ptp` of the Container Network Interface, which kind's clusters use, does the same: the
pod has its address as a /32 and everything goes through the gateway; the node has the gateway's address on
its end of every pair, and a route for the pod. There is no bridge, so no packet passes the node's rules by.

These functions move the calling process, which must have one thread, into the namespaces that they wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from whichpod.cluster.netns.netlink import Netlink
from whichpod.cluster.netns.syscalls import CLONE_NEWNET, setns

_LOOPBACK, _DEVICE = "lo", "eth0"
_ANYWHERE = "0.0.0.0/0"


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
    with Netlink() as link:
        forward()
        link.up(_LOOPBACK)
        for address in own:
            link.address(_LOOPBACK, address)
        link.veth(_DEVICE, _DEVICE, uplink.net)
        _end_of_uplink(link, uplink.node, _ANYWHERE, uplink.outside)
    setns(uplink.net, CLONE_NEWNET)
    with Netlink() as link:
        forward()
        link.up(_LOOPBACK)
        _end_of_uplink(link, uplink.outside, uplink.pod_cidr, uplink.node)


def forward() -> None:
    """What isn't for us is passed on. Raises OSError."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _end_of_uplink(link: Netlink, address: str, to: str, via: str) -> None:
    link.address(_DEVICE, address, 16)
    link.up(_DEVICE)
    link.route(_DEVICE, to, via)


def wire(wires: Iterable[Wire], gateway: str) -> None:
    """Wires pods; ends in the network namespace of the last one. Raises OSError."""
    wires = list(wires)
    with Netlink() as link:
        for one in wires:
            device = f"veth{one.number}"
            link.veth(device, _DEVICE, one.net)
            link.address(device, gateway)
            link.up(device)
            link.route(device, f"{one.address}/32")
    for one in wires:
        setns(one.net, CLONE_NEWNET)
        with Netlink() as link:
            link.up(_LOOPBACK)
            link.address(_DEVICE, one.address)
            link.up(_DEVICE)
            link.route(_DEVICE, f"{gateway}/32")
            link.route(_DEVICE, _ANYWHERE, gateway)
