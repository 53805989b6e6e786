"""What the cluster's DNS knows, by the Kubernetes DNS specification (kubernetes/dns, specification.md)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from whichpod.cluster.local.dns.codec import Code, Record
from whichpod.manifest.kinds import Service
from whichpod.mesh.registry import Endpoint, Registry

DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's code and records."""

    code: Code
    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()
    """Addresses of SRV targets, which spare the client another question."""


NO_SUCH_NAME = Answer(Code.NXDOMAIN)


class Zone:
    """Names of the Services of a registry, as they are now.

    `address_of` gives what a Service's name stands for: its ClusterIP, or another address that the asker is
    to use; None for one record per ready pod. Short names mean what a pod of `namespace` means by them, for
    clients that have no search list of their own; without a namespace only full names mean anything.
    """

    def __init__(
        self,
        registry: Registry,
        address_of: Callable[[Service], str | None],
        *,
        namespace: str | None = "default",
    ) -> None:
        self._registry = registry
        self._address_of = address_of
        self._services: dict[str, Service] = {}
        for service in registry.bundle.services:
            for name in _names(service, namespace):
                self._services[name] = service

    def answer(self, name: str, kind: int) -> Answer:
        """What is known of `name` (lower case, no final dot)."""
        service = self._services.get(name)
        if service:
            found = self._addresses(service)
            if not found:  # CoreDNS: a headless Service without ready pods does not exist
                return NO_SUCH_NAME
            # CoreDNS' loadbalance plugin, on by default in kubeadm's clusters, shuffles likewise.
            random.shuffle(found)
            return _only(kind, tuple(Record(name, address) for address in found))
        first, _, rest = name.partition(".")
        if rest in self._services:
            return self._pod(name, kind, first, self._services[rest])
        protocol, _, host = rest.partition(".")
        if first.startswith("_") and protocol.startswith("_") and host in self._services:
            return self._srv(name, kind, first[1:], protocol[1:], self._services[host])
        return NO_SUCH_NAME

    def _addresses(self, service: Service) -> list[str]:
        one = self._address_of(service)
        return [one] if one else [e.address for e in self._behind(service)]

    def _behind(self, service: Service) -> Iterator[Endpoint]:
        for endpoint in self._registry.endpoints:
            if (endpoint.ready or service.publish_not_ready) and service.selects(
                endpoint.namespace, endpoint.labels
            ):
                yield endpoint

    def _pod(self, name: str, kind: int, label: str, service: Service) -> Answer:
        if service.headless:
            for endpoint in self._behind(service):
                if label in (endpoint.pod, _dashed(endpoint.address)):
                    return _only(kind, (Record(name, endpoint.address),))
        return NO_SUCH_NAME

    def _srv(self, name: str, kind: int, port: str, protocol: str, service: Service) -> Answer:
        found = next((p for p in service.ports if p.name == port and p.protocol.lower() == protocol), None)
        if not found:
            return NO_SUCH_NAME
        one = self._address_of(service)
        if one:
            return _only(
                kind, (Record(name, target=service.host, port=found.port),), (Record(service.host, one),)
            )
        records, extra = [], []
        # A headless Service's records have the ports of the pods themselves.
        for endpoint, number in self._registry.behind(service, found):
            host = f"{_dashed(endpoint.address)}.{service.host}"
            records.append(Record(name, target=host, port=number))
            extra.append(Record(host, endpoint.address))
        return _only(kind, tuple(records), tuple(extra)) if records else NO_SUCH_NAME


def _names(service: Service, namespace: str | None) -> Iterator[str]:
    name, where = service.meta.name, service.meta.namespace
    yield f"{name}.{where}.svc.{DOMAIN}"
    if namespace is None:
        return
    yield f"{name}.{where}.svc"
    yield f"{name}.{where}"
    if where == namespace:
        yield name


def _dashed(address: str) -> str:
    return address.replace(".", "-")


def _only(kind: int, records: tuple[Record, ...], extra: tuple[Record, ...] = ()) -> Answer:
    """The records where they are of the kind that was asked for; else an empty answer: the name exists."""
    return Answer(Code.NOERROR, records, extra) if records[0].type == kind else Answer(Code.NOERROR)
