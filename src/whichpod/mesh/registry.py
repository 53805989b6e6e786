"""The services of a bundle and who is behind them now: what istiod calls its service registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Service, ServicePort
from whichpod.manifest.placement import Locality


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running pod."""

    pod: str
    address: str
    """The pod's IP address."""
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the named container ports."""
    namespace: str = "default"
    zone: str = ""
    ready: bool = True
    meshed: bool = False
    """Whether it has a sidecar."""
    service_account: str = "default"
    region: str = ""
    subzone: str = ""
    node: str = ""

    @property
    def locality(self) -> Locality:
        """Where it is."""
        return Locality(self.region, self.zone, self.subzone)


class Registry:
    """A bundle together with its running pods. Immutable: a change is a new Registry.

    `mutual_tls` says that sidecars have certificates: their bootstraps have an identity. Without, they speak
    plain text, whatever policies say.
    """

    def __init__(
        self, bundle: Bundle, endpoints: tuple[Endpoint, ...] = (), *, mutual_tls: bool = False
    ) -> None:
        self.bundle = bundle
        self.endpoints = endpoints
        self.mutual_tls = mutual_tls
        self._selected: dict[str, tuple[Endpoint, ...]] = {}

    @classmethod
    def empty(cls) -> Registry:
        """One without Services or pods."""
        return cls(Bundle())

    def addresses(
        self, service: Service, port: ServicePort, subset: Mapping[str, str] | None = None
    ) -> tuple[tuple[str, int], ...]:
        """(address, port) of each ready pod behind a Service's port; only a subset's, if labels are given."""
        return tuple((e.address, n) for e, n in self.behind(service, port, subset))

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str, str], list[Endpoint]]:
        """The pods by namespace and each of their labels."""
        found: dict[tuple[str, str, str], list[Endpoint]] = {}
        for e in self.endpoints:
            for key, value in e.labels.items():
                found.setdefault((e.namespace, key, value), []).append(e)
        return found

    def selected(self, service: Service) -> tuple[Endpoint, ...]:
        """The pods that a Service selects, ready or not."""
        found = self._selected.get(service.host)
        if found is None:
            labels = ((service.meta.namespace, *item) for item in service.selector.items())
            candidates = min((self._by_label.get(label, []) for label in labels), key=len, default=[])
            found = tuple(e for e in candidates if service.selects(e.namespace, e.labels))
            self._selected[service.host] = found
        return found

    def behind(
        self, service: Service, port: ServicePort, subset: Mapping[str, str] | None = None
    ) -> tuple[tuple[Endpoint, int], ...]:
        """As `addresses`, with the pods. A pod that lacks the named target port is left out."""
        found = []
        for e in self.selected(service):
            if not (e.ready or service.publish_not_ready):
                continue
            if subset and any(e.labels.get(k) != v for k, v in subset.items()):
                continue
            number = port.target_port if isinstance(port.target_port, int) else e.ports.get(port.target_port)
            if number is not None:
                found.append((e, number))
        return tuple(found)
