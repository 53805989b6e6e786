"""The loopback cluster: pods are processes with addresses of 127/8, proxies are the real ones."""

from whichpod.cluster.loopback.cluster import LoopbackCluster

__all__ = ["LoopbackCluster"]
