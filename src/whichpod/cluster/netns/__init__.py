"""The namespace cluster: a node and pods that are network namespaces, with the kernel's own NAT."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whichpod.cluster.netns.cluster import NetnsCluster
    from whichpod.cluster.netns.needs import missing_of_machine
    from whichpod.cluster.netns.tools import ProxyMode

__all__ = ["NetnsCluster", "ProxyMode", "missing_of_machine"]
_WHERE = {"NetnsCluster": "cluster", "ProxyMode": "tools", "missing_of_machine": "needs"}


def __getattr__(name: str) -> object:
    # Imported when asked for: a node is a module of this package too, and is to start fast.
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
