"""The open connections of this process's servers, through channelz (gRFC A14), asked without an RPC."""

from __future__ import annotations

from collections.abc import Iterator

from grpc_channelz.v1 import channelz, channelz_pb2

_ask = channelz.ChannelzServicer  # type: ignore[attr-defined]  # the stubs lack it


def streams_started(peer: str) -> int:
    """How many streams the open connection from `peer` (ipv4:a:p) has started; 0 where there is none."""
    for number, name in _sockets():
        if name.endswith(peer):
            context = _NoContext()
            answer = _ask.GetSocket(channelz_pb2.GetSocketRequest(socket_id=number), context)
            return 0 if context.failed else int(answer.socket.data.streams_started)
    return 0


def _sockets() -> Iterator[tuple[int, str]]:
    servers = _ask.GetServers(channelz_pb2.GetServersRequest(start_server_id=0), _NoContext()).server
    for server in servers:
        start = 0
        while True:
            request = channelz_pb2.GetServerSocketsRequest(
                server_id=server.ref.server_id, start_socket_id=start
            )
            answer = _ask.GetServerSockets(request, _NoContext())
            if answer is None:
                break
            for ref in answer.socket_ref:
                start = ref.socket_id + 1
                yield ref.socket_id, ref.name
            if answer.end or not answer.socket_ref:
                break


class _NoContext:
    """Takes what a servicer says to its RPC, of which there is none."""

    failed = False

    def set_code(self, _code: object) -> None:
        self.failed = True

    def set_details(self, _details: object) -> None:
        pass
