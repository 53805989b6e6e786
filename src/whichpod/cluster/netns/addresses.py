"""Addresses of a namespace lab. They are its own: no other lab and nothing of the machine's sees them.

The ranges are those of a cluster made by kubeadm or kind: pods in 10.244.0.0/16, ClusterIPs in 10.96.0.0/12,
DNS at the tenth of these, nodes in 172.18.0.0/16.
"""

from __future__ import annotations

from whichpod.model.errors import LabError

POD_CIDR, SERVICE_CIDR = "10.244.0.0/16", "10.96.0.0/12"
GATEWAY = "10.244.0.1"
"""The node's end of every pod's link."""
DNS = "10.96.0.10"
NODE, OUTSIDE = "172.18.0.2", "172.18.0.1"
PER_OCTET = 250
MOST = 250 * PER_OCTET
"""Pods, and Services, that there is room for."""


def pod_address(n: int) -> str:
    """The IP of pod `n`, from 0. Raises LabError where there is no room."""
    return f"10.244.{_octets(n, 0, 2)}"


def client_address(n: int) -> str:
    """The IP of client pod `n`, from 0."""
    return f"10.244.255.{n + 2}"


def cluster_ip(n: int) -> str:
    """The ClusterIP of Service `n`, from 0. Raises LabError where there is no room."""
    return f"10.96.{_octets(n, 1, 1)}"


def _octets(n: int, first: int, second: int) -> str:
    if not 0 <= n < MOST:
        raise LabError(f"A namespace lab has room for {MOST} pods or Services, not for number {n + 1}.")
    return f"{first + n // PER_OCTET}.{second + n % PER_OCTET}"
