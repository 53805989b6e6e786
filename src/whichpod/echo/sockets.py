"""The connections of a server in this process, through channelz (gRFC A14), asked without an RPC."""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc
from grpc_channelz.v1 import channelz, channelz_pb2

_ask = channelz.ChannelzServicer  # type: ignore[attr-defined]  # the stubs lack it
_making = threading.Lock()
_newest_server = 0


class Sockets:
    """Tells which connections were opened. Not thread-safe."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def watch(self, make: Callable[[], grpc.Server]) -> grpc.Server:
        """Makes a server, whose connections are told of from now on."""
        global _newest_server
        with _making:
            server = make()
            request = channelz_pb2.GetServersRequest(start_server_id=_newest_server + 1)
            # grpcio doesn't say which id is this server's: it is what has come since the last look.
            for entry in _ask.GetServers(request, _NoContext()).server:
                _newest_server = max(_newest_server, entry.ref.server_id)
                self._next[entry.ref.server_id] = 0
        return server

    def opened(self) -> list[str]:
        """Peers (ipv4:a:p, ipv6:%5Ba%5D:p) of the connections opened since the last call, oldest first.

        Ids of sockets only grow, so those told of before cost nothing.
        """
        found = []
        for server, start in self._next.items():
            while True:
                request = channelz_pb2.GetServerSocketsRequest(server_id=server, start_socket_id=start)
                answer = _ask.GetServerSockets(request, _NoContext())
                if answer is None or not answer.socket_ref:
                    break
                start = answer.socket_ref[-1].socket_id + 1
                # A socket is named `chttp2 ipv4:127.0.0.1:4711`.
                found += [ref.name.rpartition(" ")[2] for ref in answer.socket_ref]
                if answer.end:
                    break
            self._next[server] = start
        return found


class _NoContext:
    """Takes what a servicer says to its RPC, of which there is none."""

    def set_code(self, _code: object) -> None:
        pass

    def set_details(self, _details: object) -> None:
        pass
