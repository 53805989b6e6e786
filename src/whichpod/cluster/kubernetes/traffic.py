"""How a Service's own traffic is spread, from counters that its pods or their sidecars keep anyway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from whichpod.model.errors import ClusterError
from whichpod.model.tally import OK, BackendTally, Tally
from whichpod.model.target import Backend
from whichpod.wire.codes import GrpcCode

_NOT_TRAFFIC = ("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz")  # fmt: skip
"""Services that kubelets and tools call, not users."""

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")

Labels = Mapping[str, str]


class Source(StrEnum):
    """Whose counters they are, the most telling first."""

    SIDECAR = "the sidecar (istio_requests_total)"
    """Istio, Standard Metrics: requests by the destination's own report, gRPC's status beside HTTP's."""
    SERVER = "the server (grpc_server_handled_total)"
    """RPCs by status, as the gRPC Prometheus interceptors of Go, Java and Python name it."""
    OPENTELEMETRY = "the server (rpc_server_duration)"
    """OpenTelemetry's semantic conventions for RPC: the histogram's count."""


@dataclass(frozen=True, slots=True)
class PodId:
    """A pod, as the API server names it."""

    uid: str
    name: str
    ip: str = ""
    namespace: str = ""
    node: str = ""


@dataclass(slots=True)
class _Counters:
    pod: PodId
    # By series: what it stood at when last read, and what came since the first reading.
    last: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)
    gained: dict[str, float] = field(default_factory=dict)
    seen_ns: tuple[int, int] = (0, 0)


class Traffic:
    """RPCs per pod since the first reading. Feed it each pod's metrics, again and again."""

    def __init__(self, service: str = "") -> None:
        """`service`: count only RPCs to that Kubernetes Service (its name), where counters tell."""
        self._service = service
        self._pods: dict[str, _Counters] = {}
        self._began: int | None = None
        self.source: Source | None = None
        """Which counters are read: those of the first pod that had any; pods must not differ in it."""

    def observe(self, pod: PodId, text: str, now_ns: int) -> None:
        """Takes in a pod's metrics, in Prometheus' text format, read at that time.

        A pod that was not there at the first round began at zero since. Counters that went down were begun
        anew, as the pod's container was. Raises ClusterError where the text can't be read.
        """
        first_round = self._began is None or self._began == now_ns
        if self._began is None:
            self._began = now_ns
        series = self._series(text)
        known = self._pods.get(pod.uid)
        if known is None:
            known = self._pods[pod.uid] = _Counters(pod, seen_ns=(now_ns - self._began, 0))
            if first_round:
                known.last = {key: value for key, (_, value) in series.items()}
                return
        known.seen_ns = (known.seen_ns[0], now_ns - self._began)
        for key, (status, value) in series.items():
            before = known.last.get(key, 0.0)
            gained = value - before if value >= before else value
            known.gained[status] = known.gained.get(status, 0.0) + gained
            known.last[key] = value

    @property
    def tally(self) -> Tally:
        """What came since the first reading. Counters tell neither latency nor connections."""
        tally = Tally()
        for counters in self._pods.values():
            pod = counters.pod
            done = round(counters.gained.get(OK, 0.0))
            failed = round(sum(n for status, n in counters.gained.items() if status != OK))
            tally.done += done
            tally.failed += failed
            for status, count in counters.gained.items():
                if round(count):
                    tally.statuses[status] = tally.statuses.get(status, 0) + round(count)
            tally.backends[pod.uid] = BackendTally(
                Backend(pod.uid, pod.name, pod.ip, pod.namespace, pod.node, learnt="given"),
                done=done,
                failed=failed,
                messages=done,
                first_ns=counters.seen_ns[0],
                last_ns=counters.seen_ns[1],
            )
        # Statuses are rounded one by one.
        tally.failed = sum(n for status, n in tally.statuses.items() if status != OK)
        tally.scheduled = tally.done + tally.failed
        return tally

    @property
    def pods(self) -> tuple[str, ...]:
        """Names of the pods that were read."""
        return tuple(sorted(counters.pod.name for counters in self._pods.values()))

    def _series(self, text: str) -> dict[tuple[tuple[str, str], ...], tuple[str, float]]:
        """Status and value of each counter that counts."""
        samples = _samples(text)
        for source in [self.source] if self.source else list(Source):
            name, status_of = _READERS[source]
            found = {
                tuple(sorted(labels.items())): (status, value)
                for labels, value in samples.get(name, ())
                if (status := status_of(labels)) and self._counts(labels)
            }
            if found:
                self.source = source
                return found
        return {}

    def _counts(self, labels: Labels) -> bool:
        asked = labels.get("destination_service_name", "")
        return not (self._service and asked and asked not in (self._service, "unknown"))


def _sidecar(labels: Labels) -> str:
    if labels.get("reporter") != "destination" or labels.get("request_protocol") not in ("grpc", None):
        return ""
    status = labels.get("grpc_response_status", "")
    if status.isdigit():
        return _name(int(status))
    # Without gRPC's own status HTTP's says how it ended: the sidecar answered, or nobody.
    code = labels.get("response_code", "")
    return OK if code == "200" else GrpcCode.UNAVAILABLE.name if code else ""


def _server(labels: Labels) -> str:
    if labels.get("grpc_service") in _NOT_TRAFFIC:
        return ""
    code = labels.get("grpc_code", "")
    # Go says NotFound and OK, Java and Python NOT_FOUND.
    return _WORD.sub("_", code).upper()


def _opentelemetry(labels: Labels) -> str:
    if labels.get("rpc_system") != "grpc" or labels.get("rpc_service") in _NOT_TRAFFIC:
        return ""
    status = labels.get("rpc_grpc_status_code", "")
    return _name(int(status)) if status.isdigit() else ""


def _name(status: int) -> str:
    return GrpcCode(status).name if status in GrpcCode._value2member_map_ else GrpcCode.UNKNOWN.name


_READERS: dict[Source, tuple[str, Callable[[Labels], str]]] = {
    Source.SIDECAR: ("istio_requests_total", _sidecar),
    Source.SERVER: ("grpc_server_handled_total", _server),
    Source.OPENTELEMETRY: ("rpc_server_duration_milliseconds_count", _opentelemetry),
}


def _samples(text: str) -> dict[str, list[tuple[Labels, float]]]:
    from prometheus_client.parser import text_string_to_metric_families

    wanted = {name for name, _ in _READERS.values()}
    found: dict[str, list[tuple[Labels, float]]] = {}
    try:
        families: Iterable[Any] = text_string_to_metric_families(_relevant(text, wanted))
        for family in families:
            for sample in family.samples:
                if sample.name in wanted:
                    found.setdefault(sample.name, []).append((sample.labels, float(sample.value)))
    except (ValueError, KeyError, IndexError) as error:
        raise ClusterError(
            f"A pod's metrics can't be read: {error}.", fix="They must be in Prometheus' text format."
        ) from None
    return found


def _relevant(text: str, wanted: set[str]) -> str:
    """A sidecar has thousands of lines; parsing all of them for each of 500 pods would take minutes."""
    return "".join(
        f"{line}\n" for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in wanted
    )
