"""How a Service's own traffic is spread, from counters that its pods or their sidecars keep anyway."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
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
    GRPC = "the server (grpc_server_call_duration)"
    """What gRPC measures itself (gRFC A66, OpenTelemetry Metrics): the histogram's count."""
    CALL = "the server (rpc_server_call_duration)"
    """OpenTelemetry's semantic conventions for RPC, since 1.39: the histogram's count."""
    OPENTELEMETRY = "the server (rpc_server_duration)"
    """The same before."""


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
        self.other_services: set[str] = set()
        """Services that counters name instead, of which nothing was counted."""
        self.plaintext: float = 0.0
        """RPCs that sidecars took without mutual TLS: from clients outside the mesh."""

    def observe(self, pod: PodId, text: str, now_ns: int, *, new: bool | None = None) -> None:
        """Takes in a pod's metrics, in Prometheus' text format, read at that time.

        `new`: the pod began after the first round, so its counters are of that time too; None: it did if it
        was not read at the first round. Counters that went down were begun anew, as the pod's container was.
        Raises ClusterError where the text can't be read.
        """
        first_round = self._began is None or self._began == now_ns
        if self._began is None:
            self._began = now_ns
        series = self._series(text)
        known = self._pods.get(pod.uid)
        if known is None:
            known = self._pods[pod.uid] = _Counters(pod, seen_ns=(now_ns - self._began, 0))
            if first_round if new is None else not new:
                known.last = {key: value for key, (_, value) in series.items()}
                return
        known.seen_ns = (known.seen_ns[0], now_ns - self._began)
        for key, (status, value) in series.items():
            before = known.last.get(key, 0.0)
            gained = value - before if value >= before else value
            known.gained[status] = known.gained.get(status, 0.0) + gained
            if dict(key).get("connection_security_policy") == "none":
                self.plaintext += gained
            known.last[key] = value

    @property
    def tally(self) -> Tally:
        """What came since the first reading. Counters tell neither latency nor connections."""
        return self.tally_of(self._pods)

    def tally_of(self, uids: Container[str]) -> Tally:
        """As `tally`, of these pods only."""
        tally = Tally()
        for counters in self._pods.values():
            pod = counters.pod
            if pod.uid not in uids:
                continue
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
        if not self._service or not asked or asked in (self._service, "unknown"):
            return True
        self.other_services.add(asked)
        return False


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


def _call(labels: Labels) -> str:
    if labels.get("rpc_system_name") != "grpc" or _is_tools(labels.get("rpc_method", "")):
        return ""
    return labels.get("rpc_response_status_code", "")


def _grpc(labels: Labels) -> str:
    return "" if _is_tools(labels.get("grpc_method", "")) else labels.get("grpc_status", "")


def _is_tools(method: str) -> bool:
    """Of a method's full name."""
    return method.rpartition("/")[0] in _NOT_TRAFFIC


def _name(status: int) -> str:
    return GrpcCode(status).name if status in GrpcCode._value2member_map_ else GrpcCode.UNKNOWN.name


_READERS: dict[Source, tuple[str, Callable[[Labels], str]]] = {
    Source.SIDECAR: ("istio_requests_total", _sidecar),
    Source.SERVER: ("grpc_server_handled_total", _server),
    Source.GRPC: ("grpc_server_call_duration_seconds_count", _grpc),
    Source.CALL: ("rpc_server_call_duration_seconds_count", _call),
    Source.OPENTELEMETRY: ("rpc_server_duration_milliseconds_count", _opentelemetry),
}
_LINE = re.compile(
    b"^(?:" + "|".join(name for name, _ in _READERS.values()).encode() + rb")[{ ][^\r\n]*", re.MULTILINE
)


def relevant(body: bytes) -> str:
    """The lines of a pod's metrics that can matter: a sidecar has thousands of others."""
    return b"".join(line + b"\n" for line in _LINE.findall(body)).decode(errors="replace")


def telling(text: str) -> int:
    """How telling the best counters in it are: an index into Source, beyond it where there are none."""
    names = [name for name, _ in _READERS.values()]
    return next((i for i, name in enumerate(names) if name in text), len(names))


def _samples(text: str) -> dict[str, list[tuple[Labels, float]]]:
    from prometheus_client.parser import text_string_to_metric_families

    wanted = {name for name, _ in _READERS.values()}
    found: dict[str, list[tuple[Labels, float]]] = {}
    try:
        families: Iterable[Any] = text_string_to_metric_families(relevant(text.encode()))
        for family in families:
            for sample in family.samples:
                if sample.name in wanted:
                    found.setdefault(sample.name, []).append((sample.labels, float(sample.value)))
    except (ValueError, KeyError, IndexError) as error:
        raise ClusterError(
            f"A pod's metrics can't be read: {error}.", fix="They must be in Prometheus' text format."
        ) from None
    return found
