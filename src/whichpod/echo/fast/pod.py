"""One of the servers that a process stands for: who it is, how it answers."""

from __future__ import annotations

import random
from collections.abc import Callable

from whichpod.echo import names
from whichpod.echo.fast.codec import server_field
from whichpod.echo.faults import Failure, Faults
from whichpod.echo.identity import Identity
from whichpod.echo.orca import TRAILER, Load, LoadReport
from whichpod.echo.settings import ServerSettings
from whichpod.wire import Block, Reply
from whichpod.wire.codes import GrpcCode
from whichpod.wire.encoder import Fields
from whichpod.wire.grpc import HEAD, request_fault
from whichpod.wire.messages import ENCODINGS, IDENTITY
from whichpod.wire.status import encode_binary, trailers
from whichpod.wire.table import Pair
from whichpod.wire.timeout import decode_timeout

HEALTH_SERVICE = "grpc.health.v1.Health"
REFLECTION_SERVICE = "grpc.reflection.v1alpha.ServerReflection"
CHECK, WATCH = f"/{HEALTH_SERVICE}/Check", f"/{HEALTH_SERVICE}/Watch"
REFLECTION = f"/{REFLECTION_SERVICE}/ServerReflectionInfo"
_ECHO = (names.ECHO, names.SERVER_STREAM, names.CLIENT_STREAM, names.BIDI_STREAM)
_METHODS = {path.encode(): path for path in (*_ECHO, CHECK, WATCH, REFLECTION)}
_COLLECTED = frozenset(path.encode() for path in (names.ECHO, names.SERVER_STREAM, CHECK, WATCH))
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
"""HealthCheckResponse.ServingStatus."""
START: Fields = (*HEAD, (b"grpc-accept-encoding", b", ".join((IDENTITY, *reversed(ENCODINGS)))))
"""What every reply starts with."""
REPORT = TRAILER.encode()
OK = trailers(GrpcCode.OK)


class Route:
    """What a request's header fields ask for; worked out once for each block."""

    __slots__ = ("at_once", "deadline_ns", "encoding", "fault", "method", "named")

    def __init__(self, head: Block) -> None:
        self.fault = request_fault(head)
        """HTTP status for what is no gRPC call, else 0."""
        self.method = _METHODS.get(head.path, "")
        """Path of a method that there is, else empty."""
        self.named = self.method in _ECHO or head.path.startswith(f"/{names.SERVICE}/".encode())
        """Whether its trailers name the server: the echo service's do."""
        self.encoding = head.get(b"grpc-encoding")
        timeout = head.get(b"grpc-timeout")
        self.deadline_ns = decode_timeout(timeout) if timeout is not None else None
        """Time that the call may take; None without end."""
        self.at_once = not self.fault and self.method == names.ECHO and self.deadline_ns != 0
        """An echo that a calm pod answers at once."""


def streamed(head: Block) -> bool:
    """Whether a request is looked at before its body is there: streams, and what is refused."""
    return head.path not in _COLLECTED or request_fault(head) != 0


class Pod:
    """A server's identity, its health, and its injected delays and failures."""

    def __init__(self, identity: Identity, settings: ServerSettings, faults: Faults) -> None:
        self.identity = identity
        self.server = server_field(identity)
        """The field of an EchoReply that says who it is."""
        self._faults = faults
        reports = settings.load_reports
        self.load = Load(settings.workers) if reports == "auto" else None
        """Its load where that is measured."""
        self.calm = self._is_calm()
        """Echoes need no second look: neither delays nor failures, and nothing is measured."""
        self.connections = 0
        """Made so far, for their ids."""
        self.status = SERVING
        self.watches: dict[Callable[[int], None], str] = {}
        """What tells a health watch the status, and the service that is watched."""
        # Made when needed: it is the larger part of a pod.
        self._seed = settings.seed or None
        self._dice: random.Random | None = None
        named = ((names.SERVER_ID_KEY, identity.server_id), (names.POD_KEY, identity.pod))
        self._named: tuple[Pair, ...] = tuple((k.encode(), _ascii(v)) for k, v in named if v)
        self.head: Fields = (*START, *self._named)
        """Header fields that say who fails."""
        self._reported = reports.encode() if isinstance(reports, LoadReport) else b""
        self._trailers = self._with_report()
        self.reply = Reply(START, (*OK, *self._trailers))
        """To an echo that went well, as far as nothing is measured."""

    def route(self, head: Block) -> Route:
        """What a request asks for."""
        route = head.note
        if not isinstance(route, Route):
            route = head.note = Route(head)
        return route

    def inject(self, faults: Faults) -> bool:
        """Injects these faults into the RPCs that begin from now on. Says whether that is a change; then
        connections must `look_again`."""
        changed = faults != self._faults
        self._faults = faults
        self.calm = self._is_calm()
        return changed

    def delay_ns(self) -> int:
        """The delay of one RPC."""
        faults = self._faults
        return int(faults.delay.sample(self._roll()) * 1e9) if faults.delays else 0

    def failure(self) -> Failure | None:
        """How an RPC fails, if it is one of those that do."""
        failure = self._faults.failure
        return failure if failure.rate and self._roll().random() < failure.rate else None

    def ending(self, route: Route, code: GrpcCode, message: str = "") -> Fields:
        """Trailers that say a status."""
        return (*trailers(code, message), *(self._told() if route.named else ()))

    def well(self) -> Reply:
        """The reply to an echo that went well."""
        self._told()
        return self.reply

    def _told(self) -> tuple[Pair, ...]:
        """Trailers that say who it is, and its load."""
        if self.load is not None:
            reported = self.load.report()
            if reported != self._reported:
                self._reported = reported
                self._trailers = self._with_report()
                self.reply = Reply(START, (*OK, *self._trailers))
        return self._trailers

    def _with_report(self) -> tuple[Pair, ...]:
        report = ((REPORT, encode_binary(self._reported)),) if self._reported else ()
        return (*self._named, *report)

    def _is_calm(self) -> bool:
        return self.load is None and self._faults.calm

    def health(self, service: str) -> int:
        """The status of a service; the empty one is the whole server."""
        return self.status if service in ("", names.SERVICE) else SERVICE_UNKNOWN

    def leave(self) -> None:
        """Says NOT_SERVING from now on; watches hear it."""
        if self.status != NOT_SERVING:
            self.status = NOT_SERVING
            for tell, service in list(self.watches.items()):
                if self.health(service) == NOT_SERVING:
                    tell(NOT_SERVING)

    def _roll(self) -> random.Random:
        if self._dice is None:
            self._dice = random.Random(self._seed)  # noqa: S311 - faults, not secrets
        return self._dice


def _ascii(text: str) -> bytes:
    """The text as metadata may carry it: printable ASCII (gRPC over HTTP/2, ASCII-Value)."""
    return "".join(c if " " < c <= "~" else "?" for c in text).encode()
