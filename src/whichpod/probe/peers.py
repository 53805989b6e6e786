"""Tells the server of an RPC by the connection that it went over, where the server itself tells nothing."""

from __future__ import annotations

from whichpod.model.target import Backend
from whichpod.probe.sockets import SocketCensus


class Peers:
    """Compares each connection's count of RPCs before and after: exact with one RPC in flight per channel."""

    def __init__(self, census: SocketCensus) -> None:
        self._census = census
        self._before: dict[int, dict[int, int]] = {}
        self._backends: dict[str, Backend] = {}

    def told(self, channel_id: int) -> Backend | None:
        """Whose connection the channel's last RPC went over, by remote address.

        None where that can't be told: the connection is gone, or a retry went over another one.
        """
        now = self._census.streams(channel_id)
        before = self._before.get(channel_id, {})
        self._before[channel_id] = {socket: started for socket, (_, started) in now.items()}
        grown = [
            (remote, started - before.get(socket, 0))
            for socket, (remote, started) in now.items()
            if started > before.get(socket, 0)
        ]
        if len(grown) != 1 or grown[0][1] != 1:
            return None
        remote = grown[0][0]
        return self._backends.setdefault(remote, Backend(remote, learnt="peer"))

    def forget(self, channel_id: int) -> None:
        """A channel is closed."""
        self._before.pop(channel_id, None)
