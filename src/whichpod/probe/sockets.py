"""Counts the TCP connections that channels really have open, through channelz (gRFC A14), without an RPC."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from grpc_channelz.v1 import channelz, channelz_pb2

_ask: Any = channelz.ChannelzServicer  # type: ignore[attr-defined]  # the stubs lack it
MOST_PEERS = 1000


class _NoContext:
    """Takes what a servicer says to its RPC, of which there is none."""

    def set_code(self, _code: object) -> None:
        pass

    def set_details(self, _details: object) -> None:
        pass


class SocketCensus:
    """Counts from its making on: channels that were there before are others'. Thread-safe."""

    def __init__(self) -> None:
        self._others = {channel.ref.channel_id for channel in _top_channels()}
        self._seen: set[int] = set()
        self._lock = threading.Lock()
        self.most_open = 0
        """The most connections that a sample found open at one time."""
        self.peers: dict[str, None] = {}
        """Remote addresses, in the order in which they were found."""

    @property
    def opened(self) -> int:
        """Different connections found in all samples."""
        return len(self._seen)

    def sample(self) -> None:
        """Looks once."""
        found = dict(self._open_sockets())
        with self._lock:
            self._seen |= found.keys()
            self.most_open = max(self.most_open, len(found))
            for name in found.values():
                if len(self.peers) < MOST_PEERS:
                    self.peers[_remote(name)] = None

    def settled(self) -> bool:
        """Whether every subchannel has come to an end of its connecting, in one way or another."""
        connecting = channelz_pb2.ChannelConnectivityState.CONNECTING
        return all(s.data.state.state != connecting for s in self._subchannels())

    def _open_sockets(self) -> Iterator[tuple[int, str]]:
        for subchannel in self._subchannels():
            for ref in subchannel.socket_ref:
                yield ref.socket_id, ref.name

    def _subchannels(self) -> Iterator[Any]:
        ours = [c for c in _top_channels() if c.ref.channel_id not in self._others]
        yield from _below(ours)


def _below(channels: Iterable[Any]) -> Iterator[Any]:
    for channel in channels:
        for ref in channel.subchannel_ref:
            request = channelz_pb2.GetSubchannelRequest(subchannel_id=ref.subchannel_id)
            answer = _ask.GetSubchannel(request, _NoContext())
            if answer is not None:  # it may have gone meanwhile
                yield answer.subchannel
        nested = []
        for ref in channel.channel_ref:
            answer = _ask.GetChannel(channelz_pb2.GetChannelRequest(channel_id=ref.channel_id), _NoContext())
            if answer is not None:
                nested.append(answer.channel)
        yield from _below(nested)


def _top_channels() -> Iterator[Any]:
    start = 0
    while True:
        answer = _ask.GetTopChannels(channelz_pb2.GetTopChannelsRequest(start_channel_id=start), _NoContext())
        if answer is None:
            return
        for channel in answer.channel:
            start = channel.ref.channel_id + 1
            yield channel
        if answer.end or not answer.channel:
            return


def _remote(name: str) -> str:
    """`chttp2 ipv4:10.0.0.1:50051` is the socket's name; the address comes last."""
    return name.rpartition(" ")[2].removeprefix("ipv4:").removeprefix("ipv6:")
