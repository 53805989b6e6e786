"""The few requests of rtnetlink(7) that wire pods: a pair of virtual Ethernet devices, addresses, routes.

Written out here since a lab makes hundreds of them before anything else can start: the library for it,
pyroute2, takes longer to import than all of a lab's pods take to be wired by these.

Source: rtnetlink(7), netlink(7), and the kernel's uapi headers linux/rtnetlink.h, if_link.h, veth.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Network
from types import TracebackType

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEWLINK, _NEWADDR, _NEWROUTE, _ERROR = 16, 20, 24, 2
_REQUEST, _ACK, _NEW = 0x1, 0x4, 0x200 | 0x400  # NLM_F_EXCL, NLM_F_CREATE
_UP = 0x1
_IFNAME, _LINKINFO, _NET_NS_FD = 3, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_LOCAL, _SAME = 2, 1  # IFA_LOCAL, IFA_ADDRESS
_DESTINATION, _OUT, _GATEWAY = 1, 4, 5
_MAIN_TABLE, _STATIC, _UNICAST = 254, 4, 1
_EVERYWHERE, _ON_LINK = 0, 253
_MOST = 1 << 16


class Netlink:
    """A conversation with the kernel about the network namespace that it was begun in.

    All methods raise OSError in the kernel's words.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._number = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def up(self, device: str) -> None:
        """Switches a device on."""
        self._ask(_NEWLINK, 0, _LINK.pack(socket.AF_UNSPEC, 0, socket.if_nametoindex(device), _UP, _UP))

    def veth(self, device: str, peer: str, net: int) -> None:
        """A pair of devices: one here, the other in the network namespace that `net` refers to."""
        other = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        other += _attribute(_IFNAME, _text(peer)) + _attribute(_NET_NS_FD, struct.pack("=I", net))
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
        body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        self._ask(_NEWLINK, _NEW, body + _attribute(_IFNAME, _text(device)) + _attribute(_LINKINFO, info))

    def address(self, device: str, address: str, length: int = 32) -> None:
        """Gives a device an address, with so many bits that are its network's."""
        packed = IPv4Address(address).packed
        body = _ADDRESS.pack(socket.AF_INET, length, 0, _EVERYWHERE, socket.if_nametoindex(device))
        self._ask(_NEWADDR, _NEW, body + _attribute(_LOCAL, packed) + _attribute(_SAME, packed))

    def route(self, device: str, to: str, via: str = "") -> None:
        """What is for the network `to` leaves by a device: to the gateway `via`, else to whom it is for."""
        network = IPv4Network(to)
        scope = _EVERYWHERE if via else _ON_LINK
        body = _ROUTE.pack(socket.AF_INET, network.prefixlen, 0, 0, _MAIN_TABLE, _STATIC, scope, _UNICAST, 0)
        body += _attribute(_DESTINATION, network.network_address.packed)
        body += _attribute(_OUT, struct.pack("=I", socket.if_nametoindex(device)))
        if via:
            body += _attribute(_GATEWAY, IPv4Address(via).packed)
        self._ask(_NEWROUTE, _NEW, body)

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._number += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, _REQUEST | _ACK | flags, self._number, 0) + body)
        while True:
            answer = self._socket.recv(_MOST)
            _, kind, _, number, _ = _HEADER.unpack_from(answer)
            if (kind, number) == (_ERROR, self._number):
                break
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        if code:
            raise OSError(-code, os.strerror(-code))


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _text(name: str) -> bytes:
    if len(name) > 15:
        raise OSError(errno.EINVAL, f"the device name {name!r} is too long")
    return name.encode() + b"\0"
