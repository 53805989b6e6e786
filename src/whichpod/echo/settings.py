"""What an echo server is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from whichpod.echo.faults import Delay, Failure
from whichpod.model.errors import UsageError


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
    """Largest message taken; a larger one is answered with RESOURCE_EXHAUSTED."""
    workers: int = 256
    """Threads at most, made as they are needed. Each RPC takes one while it lasts, a stream too; further ones
    wait. The health service's watches take none."""
    grace_s: float = 10.0
    """How long RPCs in flight may go on when the server ends."""

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
        self.failure.check()
