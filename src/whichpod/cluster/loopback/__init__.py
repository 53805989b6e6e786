"""The loopback cluster: pods are processes with addresses of 127/8, proxies are the real ones."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichpod.cluster.loopback.cluster import LoopbackCluster

__all__ = ["LoopbackCluster"]


def __getattr__(name: str) -> object:
    # Imported when asked for: a zygote is a module of this package too, and is to start fast.
    if name == "LoopbackCluster":
        from whichpod.cluster.loopback.cluster import LoopbackCluster

        return LoopbackCluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
