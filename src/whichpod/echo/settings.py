"""What an echo server is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from whichpod.echo.faults import Delay, Failure, Faults
from whichpod.echo.orca import Reports
from whichpod.model.errors import UsageError

LONGEST_S = 7 * 86_400.0
"""Times may be a week at most: grpc counts them in ms, in 32 bits."""
LARGEST_BYTES = 1 << 30
"""protobuf's messages end at 2 GiB."""

ENGINES = ("grpcio", "fast")
PODS_ON = ("ports", "addresses")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server. Durations are in seconds."""

    host: str = "[::]"
    """Address to bind; [::] is every one, of IPv4 too."""
    port: int = 50051
    """0 takes a free one."""
    tls_cert: str = ""
    """PEM certificate chain; with `tls_key`, TLS is on."""
    tls_key: str = ""
    tls_client_ca: str = ""
    """PEM roots that a client's certificate must come from: mutual TLS."""
    max_connection_age_s: float = 0.0
    """Age at which a connection is sent GOAWAY, give or take 10 %; 0: never."""
    max_connection_age_grace_s: float = 0.0
    """How long RPCs in flight may go on after that; 0: as long as they want."""
    delay: Delay = field(default_factory=Delay)
    failure: Failure = field(default_factory=Failure)
    seed: int = 0
    """Seed of injected delays and failures; 0 takes a fresh one."""
    max_message_bytes: int = 4 << 20
    """Largest payload taken; a larger one is answered with RESOURCE_EXHAUSTED."""
    workers: int = 256
    """Threads at most, made as they are needed. Each RPC takes one while it lasts, a stream too; further ones
    wait. The health service has its own."""
    grace_s: float = 10.0
    """How long RPCs in flight may go on when the server ends."""
    engine: str = "grpcio"
    """What serves: `grpcio`, or `fast`, whichpod's own HTTP/2 core."""
    pods: int = 1
    """Servers that the process stands for, each with an identity of its own; the fast engine only."""
    pods_on: str = "ports"
    """What sets them apart: consecutive `ports`, or consecutive `addresses` from `host` on."""
    faults_file: str = ""
    """JSON that changes delay and failure while the server runs (`faultfile`); empty: none."""
    max_concurrent_streams: int = 0
    """RPCs that a connection may have open at a time (SETTINGS_MAX_CONCURRENT_STREAMS); 0: the engine's own
    limit. Further ones wait in the client."""
    load_reports: Reports = "off"
    """What is said of the server's load in trailers."""

    @property
    def faults(self) -> Faults:
        """Delay and failure."""
        return Faults(self.delay, self.failure)

    @property
    def message_bytes(self) -> int:
        """Size of the largest request taken: a tag, the length as a varint, and the payload."""
        payload = self.max_message_bytes
        return 1 + max(1, -(-payload.bit_length() // 7)) + payload

    def check(self) -> None:
        """Raises UsageError, naming the option, where the settings make no sense."""
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port} makes no sense.", fix="It takes 0 to 65535.")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise UsageError(
                "TLS needs both a certificate and its key.", fix="Give --tls-cert and --tls-key."
            )
        if self.tls_client_ca and not self.tls_cert:
            raise UsageError("--tls-client-ca needs TLS.", fix="Give --tls-cert and --tls-key too.")
        for option, value in (("--workers", self.workers), ("--max-message-size", self.max_message_bytes)):
            if value < 1:
                raise UsageError(f"{option} {value} makes no sense.", fix="It takes a number above zero.")
        if not 0 <= self.max_concurrent_streams < 2**31:
            raise UsageError(
                f"--max-concurrent-streams {self.max_concurrent_streams} makes no sense.",
                fix=f"It takes 1 to {2**31 - 1}, or 0 for the engine's default.",
            )
        if self.max_message_bytes > LARGEST_BYTES:
            raise UsageError(
                f"--max-message-size {self.max_message_bytes} is too large.",
                fix=f"It takes {LARGEST_BYTES} (1 GiB) at most.",
            )
        for option, seconds in (
            ("--max-connection-age", self.max_connection_age_s),
            ("--max-connection-age-grace", self.max_connection_age_grace_s),
            ("--grace", self.grace_s),
        ):
            if not 0 <= seconds <= LONGEST_S:
                raise UsageError(f"{option} {seconds:g}s makes no sense.", fix="It takes 0s to 168h.")
        if self.max_connection_age_grace_s and not self.max_connection_age_s:
            raise UsageError(
                "--max-connection-age-grace does nothing by itself.", fix="Give --max-connection-age too."
            )
        self.failure.check()
        self._check_pods()

    def _check_pods(self) -> None:
        for option, value, known in (
            ("--engine", self.engine, ENGINES),
            ("--pods-on", self.pods_on, PODS_ON),
        ):
            if value not in known:
                raise UsageError(f"{option} {value!r} makes no sense.", fix=f"It takes {' or '.join(known)}.")
        if self.pods < 1:
            raise UsageError(f"--pods {self.pods} makes no sense.", fix="It takes a number above zero.")
        if self.pods > 1 and self.engine != "fast":
            raise UsageError(
                f"The {self.engine} engine serves one pod a process.", fix="Give --engine fast with --pods."
            )
