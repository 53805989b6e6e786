"""One of the servers that a process stands for: who it is, how it answers."""

from __future__ import annotations

import random
from collections.abc import Callable

from whichpod.echo import names
from whichpod.echo.fast.codec import server_field
from whichpod.echo.identity import Identity
from whichpod.echo.settings import ServerSettings
from whichpod.wire import Block, Reply
from whichpod.wire.codes import GrpcCode
from whichpod.wire.encoder import Fields
from whichpod.wire.grpc import HEAD, request_fault
from whichpod.wire.messages import ENCODINGS, IDENTITY
from whichpod.wire.status import trailers
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
OK = trailers(GrpcCode.OK)


class Route:
    """What a request's header fields ask for; worked out once for each block."""

    __slots__ = ("at_once", "deadline_ns", "encoding", "fault", "method", "named")

    def __init__(self, head: Block, *, calm: bool) -> None:
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
        self.at_once = calm and not self.fault and self.method == names.ECHO and self.deadline_ns != 0
        """An echo that is answered at once."""


def streamed(head: Block) -> bool:
    """Whether a request is looked at before its body is there: streams, and what is refused."""
    return head.path not in _COLLECTED or request_fault(head) != 0


class Pod:
    """A server's identity, its health, and its injected delays and failures."""

    def __init__(self, identity: Identity, settings: ServerSettings) -> None:
        self.identity = identity
        self.server = server_field(identity)
        """The field of an EchoReply that says who it is."""
        self._delays = settings.delay.a > 0 or settings.delay.b > 0
        self._delay = settings.delay
        self._failure = settings.failure
        self.calm = not self._delays and not settings.failure.rate
        """Neither delays nor failures."""
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
        self.ok: Fields = (*OK, *self._named)
        """Trailers of an echo that went well."""
        self.reply = Reply(START, self.ok)

    def route(self, head: Block) -> Route:
        """What a request asks for."""
        route = head.note
        if not isinstance(route, Route):
            route = head.note = Route(head, calm=self.calm)
        return route

    def delay_ns(self) -> int:
        """The delay of one RPC."""
        return int(self._delay.sample(self._roll()) * 1e9) if self._delays else 0

    def fails(self) -> bool:
        """Whether an RPC is one of those that fail."""
        return bool(self._failure.rate) and self._roll().random() < self._failure.rate

    @property
    def failure(self) -> GrpcCode:
        """What those fail with."""
        return GrpcCode[self._failure.code]

    def ending(self, route: Route, code: GrpcCode, message: str = "") -> Fields:
        """Trailers that say a status."""
        return (*trailers(code, message), *(self._named if route.named else ()))

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
