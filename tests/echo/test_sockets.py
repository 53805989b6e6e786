"""Connections of a real server, as channelz tells of them."""

from __future__ import annotations

from concurrent import futures
from contextlib import ExitStack

import grpc

from tests.echo.client import dial, unary
from tests.servers import echo
from whichpod.echo.sockets import Sockets


def test_each_connection_is_told_once_and_only_by_its_server() -> None:
    sockets = Sockets()
    server = sockets.watch(lambda: grpc.server(futures.ThreadPoolExecutor(1)))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with ExitStack() as stack:
            other = stack.enter_context(echo())
            unary(stack.enter_context(dial(other.port)))
            for _ in range(5):
                channel = stack.enter_context(dial(port))
                grpc.channel_ready_future(channel).result(timeout=10)
            told = sockets.opened()
            assert len(set(told)) == 5
            assert all(peer.startswith("ipv4:127.0.0.1:") for peer in told)
            assert sockets.opened() == []
    finally:
        server.stop(0).wait()


def test_connections_one_after_the_other_differ() -> None:
    seen = []
    with echo() as server:
        for _ in range(20):
            with dial(server.port) as channel:
                replies = [unary(channel), unary(channel)]
                seen.append({r.connection for r in replies})
                assert [r.call for r in replies] == [1, 2]
                assert {r.peer for r in replies} == {replies[0].connection.partition("#")[0]}
    assert all(len(ids) == 1 for ids in seen)
    assert len(set.union(*seen)) == 20
