"""What the causes look at, derived once from a report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from whichpod.judge.names import host, is_loopback
from whichpod.model.report import Evidence, Report
from whichpod.model.tally import Tally
from whichpod.model.verdict import Balance, Verdict

_TAKES_TURNS = ("round_robin", "ring_hash", "least_request", "random", "xds")
ISTIO_INBOUND = "127.0.0.6"
"""Source address of Istio's inbound sidecar (Istio docs, "Understanding iptables rules")."""


@dataclass(frozen=True)
class Scene:
    """A report with its verdict, and the questions that several causes ask of it."""

    report: Report
    verdict: Verdict

    @property
    def balance(self) -> Balance:
        """The verdict's class."""
        return self.verdict.balance

    @property
    def tally(self) -> Tally:
        """The report's."""
        return self.report.tally

    @property
    def evidence(self) -> Evidence:
        """The report's."""
        return self.report.evidence

    @property
    def policy(self) -> str:
        """The client's policy; gRPC's default where nothing is known of another."""
        return self.evidence.policy or self.report.plan.policy or "pick_first"

    @property
    def spreads_by_client(self) -> bool:
        """Whether the client's policy uses all addresses that it has."""
        return any(name in self.policy.lower() for name in _TAKES_TURNS)

    @property
    def channels(self) -> int:
        """Channels in use, or planned where the tally doesn't say."""
        return len(self.tally.channels) or self.report.plan.channels

    @property
    def loaded(self) -> bool:
        """Whether the load engine ran it: its channels are TCP connections."""
        return self.report.tool == "bench"

    @property
    def way(self) -> str:
        """What the client's ways to the servers are called."""
        return "connection" if self.loaded else "channel"

    @property
    def pinned(self) -> bool:
        """Whether every channel was answered by one server."""
        return bool(self.tally.channels) and all(len(b) == 1 for b in self.tally.channels.values())

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """Addresses that the client could connect to: the name's, else those it did connect to."""
        return tuple(sorted({bare(a) for a in self.evidence.resolved or self.evidence.remote_peers}))

    @cached_property
    def remote_hosts(self) -> set[str]:
        """Hosts at the other end of the client's connections."""
        return {host(bare(peer)) for peer in self.evidence.remote_peers}

    @cached_property
    def backend_ips(self) -> set[str]:
        """Addresses that the servers say are theirs."""
        return {entry.backend.ip for entry in self.tally.backends.values() if entry.backend.ip}

    @cached_property
    def saw(self) -> set[str]:
        """Hosts that the servers saw as peers."""
        return {host(bare(peer)) for peer in self.evidence.server_saw_peers}

    @property
    def pods_have_addresses(self) -> bool:
        """Whether servers gave addresses of their own that aren't loopback ones."""
        return bool(self.backend_ips) and not any(is_loopback(ip) for ip in self.backend_ips)

    def answered(self) -> str:
        """`1 of 5 servers answered`."""
        return f"{self.verdict.spread.hit} of {self.verdict.spread.known} servers answered"

    def connected(self) -> str:
        """The connections that were counted, in words."""
        ev = self.evidence
        if self.loaded:
            return f"{many(ev.connections_open, 'TCP connection')} open"
        return f"{many(ev.connections_open, 'TCP connection')} open for {many(self.channels, 'channel')}"


def bare(peer: str) -> str:
    """An address without gRPC's scheme: `ipv6:%5B::1%5D:50051` is `[::1]:50051`."""
    text = unquote(peer)
    for scheme in ("ipv4:", "ipv6:"):
        text = text.removeprefix(scheme)
    return text


def many(n: int, what: str) -> str:
    """`1 channel`, `2 channels`."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
