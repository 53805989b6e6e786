"""Counts the TCP connections that channels really have open, through channelz (gRFC A14), without an RPC."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2

_ask: Any = channelz.ChannelzServicer  # type: ignore[attr-defined]  # the stubs lack it
MOST_PEERS = 1000
_MAKING = threading.Lock()
"""One channel is made at a time, so that the new one is known from the rest."""
_last_known = 0
"""The highest id of a channel that was there when the last one was made."""


class _NoContext:
    """Takes what a servicer says to its RPC, of which there is none."""

    def set_code(self, _code: object) -> None:
        pass

    def set_details(self, _details: object) -> None:
        pass


class SocketCensus:
    """Counts the connections of the channels that it makes, and of no other in the process. Thread-safe."""

    def __init__(self, target: str) -> None:
        # A name without a scheme is shown with gRPC's default one.
        self._targets = (target, f"dns:///{target}")
        self._ours: set[int] = set()
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

    def adopt(self, make: Callable[[], grpc.Channel]) -> tuple[grpc.Channel, int]:
        """Makes a channel whose connections count, and returns it with its channelz id.

        It is the one with the target's name among those that are new: an xds channel brings another one
        along, to its control plane.
        """
        global _last_known
        with _MAKING:
            _last_known = max((c.ref.channel_id for c in _top_channels(_last_known + 1)), default=_last_known)
            channel = make()
            new = list(_top_channels(_last_known + 1))
        named = [c for c in new if c.data.target in self._targets] or new
        channel_id = max((c.ref.channel_id for c in named), default=0)
        with self._lock:
            self._ours.add(channel_id)
        return channel, channel_id

    def disown(self, channel_id: int) -> None:
        """A channel is closed."""
        with self._lock:
            self._ours.discard(channel_id)

    def sample(self) -> None:
        """Looks once."""
        found = {ref.socket_id: ref.name for s in self._subchannels() for ref in s.socket_ref}
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

    def streams(self, channel_id: int) -> dict[int, tuple[str, int]]:
        """Per open connection of one channel: its remote address, and the RPCs that were started on it."""
        found: dict[int, tuple[str, int]] = {}
        channel = _channel(channel_id)
        for subchannel in _below([channel] if channel else []):
            for ref in subchannel.socket_ref:
                request = channelz_pb2.GetSocketRequest(socket_id=ref.socket_id)
                answer = _ask.GetSocket(request, _NoContext())
                if answer is not None:
                    found[ref.socket_id] = (_remote(ref.name), answer.socket.data.streams_started)
        return found

    def _subchannels(self) -> Iterator[Any]:
        with self._lock:
            ours = set(self._ours)
        if ours:
            yield from _below(c for c in _top_channels(min(ours)) if c.ref.channel_id in ours)


def _below(channels: Iterable[Any]) -> Iterator[Any]:
    for channel in channels:
        for ref in channel.subchannel_ref:
            request = channelz_pb2.GetSubchannelRequest(subchannel_id=ref.subchannel_id)
            answer = _ask.GetSubchannel(request, _NoContext())
            if answer is not None:  # it may have gone meanwhile
                yield answer.subchannel
        yield from _below(found for ref in channel.channel_ref if (found := _channel(ref.channel_id)))


def _channel(channel_id: int) -> Any | None:
    answer = _ask.GetChannel(channelz_pb2.GetChannelRequest(channel_id=channel_id), _NoContext())
    return answer and answer.channel


def _top_channels(start: int = 0) -> Iterator[Any]:
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
