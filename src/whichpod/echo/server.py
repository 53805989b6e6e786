"""The echo server: grpcio with the echo service, health, reflection and channelz."""

from __future__ import annotations

import errno
import os
import time
from concurrent import futures

# Before grpc is imported: its own log lines are no business of a user's.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from whichpod.echo.binding import bound, bracketed, is_any, refusal, resolve
from whichpod.echo.connections import Connections
from whichpod.echo.faultfile import FaultsOf
from whichpod.echo.health import Health
from whichpod.echo.identity import Identity
from whichpod.echo.names import SERVICE
from whichpod.echo.service import EchoService
from whichpod.echo.settings import ServerSettings
from whichpod.echo.sockets import Sockets
from whichpod.echo.tls import credentials
from whichpod.model.errors import LabError

__all__ = ["EchoServer", "ServerSettings"]

QUIET_S = 0.02
"""Without a new RPC for so long, the clients are waiting for answers."""
SETTLE_S = 0.1
"""The longest that a drain waits for that."""


class EchoServer:
    """A server that runs in this process: the synchronous one, which costs less per RPC than aio."""

    def __init__(self, settings: ServerSettings, identity: Identity) -> None:
        settings.check()
        self._settings = settings
        self.identity = identity
        self.port = settings.port
        """The port that it listens on, once started."""
        self._sockets = Sockets()
        self.service = EchoService(identity, settings, Connections(self._sockets.opened))
        self._server: grpc.Server | None = None
        self._health = Health(SERVICE)
        self._workers = futures.ThreadPoolExecutor(settings.workers, thread_name_prefix="echo")

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on."""
        return f"{bracketed(self._settings.host)}:{self.port}"

    def start(self) -> None:
        """Binds and serves. UsageError for bad TLS files, LabError for an address in use."""
        settings = self._settings
        tls = credentials(settings)
        _check_free(settings.host, settings.port)
        server = self._sockets.watch(lambda: grpc.server(self._workers, options=_options(settings)))
        server.add_generic_rpc_handlers((self.service.handlers(), self._health.handlers()))
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        channelz.add_channelz_servicer(server)
        try:
            self.port = (
                server.add_secure_port(self.address, tls) if tls else server.add_insecure_port(self.address)
            )
        except RuntimeError:
            raise LabError(
                f"{self.address} can't be bound.", fix="Choose another --host or --port."
            ) from None
        server.start()
        self._server = server

    def drain(self, grace_s: float | None = None) -> None:
        """Says NOT_SERVING, sends GOAWAY, lets RPCs in flight finish within the grace, and ends.

        grpcio cancels RPCs that it has received but not yet handed out when it sends GOAWAY. So before that
        answers are held back for a moment: clients that wait for them send nothing new.
        """
        self._health.leave()
        server = self._server
        if server is not None:
            grace = self._settings.grace_s if grace_s is None else grace_s
            end = time.monotonic() + grace
            if grace > 0:
                self.service.hold()
                self._settle(min(grace, SETTLE_S))
            ended = server.stop(max(0.0, end - time.monotonic()))
            self.service.release()
            self._health.end_watches()
            ended.wait()
        self._health.close()
        self._workers.shutdown(wait=False)

    def inject(self, faults_of: FaultsOf) -> int:
        """Injects other faults into the RPCs that begin from now on. Says for how many pods they differ."""
        before, self.service.faults = self.service.faults, faults_of(self.identity.pod)
        return int(before != self.service.faults)

    def _settle(self, most_s: float) -> None:
        end, calls = time.monotonic() + most_s, -1
        while calls != (calls := self.service.connections.calls) and time.monotonic() < end:
            time.sleep(QUIET_S)

    def wait(self) -> None:
        """Waits until the server has ended."""
        if self._server is not None:
            self._server.wait_for_termination()

    def __enter__(self) -> EchoServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drain(0)


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    options = [
        # Else two servers may share a port, and each gets some of the connections.
        ("grpc.so_reuseport", 0),
        ("grpc.enable_channelz", 1),
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_send_message_length", -1),
    ]
    if settings.max_concurrent_streams:
        options.append(("grpc.max_concurrent_streams", settings.max_concurrent_streams))
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", max(1, int(settings.max_connection_age_s * 1000))))
        if settings.max_connection_age_grace_s:
            grace = int(settings.max_connection_age_grace_s * 1000)
            options.append(("grpc.max_connection_age_grace_ms", max(1, grace)))
    return options


def _check_free(host: str, port: int) -> None:
    """Binds and lets go, since grpc says only that it failed."""
    family, address = resolve(host, port)[0]
    try:
        bound(family, address).close()
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT and is_any(host):
            return  # no IPv6 here: grpc binds IPv4 by itself
        raise refusal(host, port, error) from None
