"""Who asks: what istiod tells a proxy depends on where it is and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whichpod.manifest.placement import HOSTNAME, NOWHERE, Locality, topology


@dataclass(frozen=True, slots=True)
class Caller:
    """A client's proxy, or a proxyless client."""

    namespace: str = "default"
    locality: Locality = NOWHERE
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of its pod."""
    node: str = ""

    def all_labels(self) -> dict[str, str]:
        """Its labels with those of the topology, which istiod adds."""
        return known(self.labels, self.locality, self.node)


def known(labels: Mapping[str, str], locality: Locality, node: str) -> dict[str, str]:
    """A pod's labels with those of the topology, as istiod has them."""
    found = {**labels, **topology(locality)}
    return found | ({HOSTNAME: node} if node else {})
