"""What the HTTP/2 core costs: a client's core against a server's, in memory, small unary RPCs.

    python benchmarks/wire_core.py [RPCs] [in flight]

Prints us per RPC of either side: the best and the median of several rounds. No sockets and no event loop.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time

from whichpod.version import __version__
from whichpod.wire import ClientConnection, Reply, Request, ServerConnection, Stream

ROUNDS = 9
MESSAGE = b"\0\0\0\0\x20" + bytes(32)
REQUEST = Request(
    (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/whichpod.echo.v1.EchoService/Echo"),
        (b":authority", b"127.0.0.1:50051"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"whichpod"),
    ),
    MESSAGE,
)
REPLY = Reply(
    ((b":status", b"200"), (b"content-type", b"application/grpc")),
    ((b"grpc-status", b"0"),),
)


def round_trip(rpcs: int, in_flight: int) -> tuple[float, float]:
    """CPU us per RPC of the client and of the server, of one connection."""
    clock = time.perf_counter_ns
    client, server = ClientConnection(0), ServerConnection(0)
    for _ in range(3):
        server.receive(client.take(), 0)
        client.receive(server.take(), 0)
    client_ns = server_ns = sent = received = 0
    tokens = list(range(in_flight))
    while received < rpcs:
        at = clock()
        sent += client.requests(REQUEST, tokens)
        data = client.take()
        middle = clock()
        server.responses(
            REPLY,
            [(event, event.body) for event in server.receive(data, middle) if isinstance(event, Stream)],
        )
        data = server.take()
        after = clock()
        for event in client.receive(data, after):
            if isinstance(event, Stream) and event.body == MESSAGE:
                received += 1
        end = clock()
        client_ns += middle - at + end - after
        server_ns += after - middle
    assert sent == received
    return client_ns / received / 1e3, server_ns / received / 1e3


def main() -> None:
    """Runs and prints."""
    rpcs = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    in_flight = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    print(f"whichpod {__version__}, Python {platform.python_version()}, {machine}")
    print(f"{ROUNDS} rounds of {rpcs} RPCs, {in_flight} in flight, {len(MESSAGE)} bytes each way")
    rounds = [round_trip(rpcs, in_flight) for _ in range(ROUNDS)]
    for name, costs in zip(("client", "server"), zip(*rounds, strict=True), strict=True):
        print(f"{name}: {min(costs):.2f} us per RPC at best, {statistics.median(costs):.2f} median")


if __name__ == "__main__":
    main()
