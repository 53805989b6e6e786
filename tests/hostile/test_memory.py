"""What a connection holds in memory: nothing for RPCs that are over, and never more than its limits."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.hostile.victim import CALL, Victim
from tests.wire import bytes as wire
from whichpod.wire import ClientConnection, Limits, Reply, ServerConnection, Stream

MIB = 2**20
REPLY = Reply(tuple(wire.RESPONSE), tuple(wire.TRAILERS))
roles = pytest.mark.parametrize("role", ["server", "client"])


@contextmanager
def traced() -> Iterator[Callable[[], tuple[int, int]]]:
    """Counts the bytes allocated from here on: how many are held now, and the most that were."""
    gc.collect()
    tracemalloc.start()
    try:
        yield tracemalloc.get_traced_memory
    finally:
        tracemalloc.stop()


def rpcs(client: ClientConnection, server: ServerConnection, count: int) -> None:
    done = 0
    while done < count:
        client.requests(CALL, range(20))
        asked = [event for event in server.receive(client.take(), 0) if isinstance(event, Stream)]
        server.responses(REPLY, [(stream, stream.body) for stream in asked])
        done += sum(isinstance(event, Stream) for event in client.receive(server.take(), 0))


def test_rpcs_leave_nothing_behind() -> None:
    client, server = ClientConnection(0), ServerConnection(0)
    rpcs(client, server, 1_000)
    with traced() as held:
        rpcs(client, server, 5_000)
        gc.collect()
        assert held()[0] < 20_000


def bodies(victim: Victim, stream: int) -> bytes:
    return victim.head(stream) + wire.data(stream, bytes(16_384)) * 4


def blocks(victim: Victim, stream: int) -> bytes:
    """Header lists that are all different, as large as they may be, on streams that stay."""
    return victim.head(stream, *[(b"x-%d" % stream, b"%d" % at * 400) for at in range(9)])


def bombs(victim: Victim, stream: int) -> bytes:
    """Fields that refer to a large entry of the table: 16 kB that say 60 MB."""
    block = wire.literal(victim.fields) + b"\x40\x01x" + wire.integer(4_000) + b"v" * 4_000
    return wire.frame(wire.HEADERS, 4, stream, block + b"\xbe" * (16_384 - len(block)))


def partial(victim: Victim, stream: int) -> bytes:
    return (
        wire.headers(stream, victim.fields, 0) + wire.frame(wire.CONTINUATION, 0, stream, bytes(16_384)) * 8
    )


def oversized(victim: Victim, stream: int) -> bytes:
    return victim.head(stream) + wire.frame(0x60, 0, stream, bytes(10**6))


def questions(victim: Victim, stream: int) -> bytes:
    return wire.ping() * 50 + wire.settings((4, stream)) * 50


@roles
@pytest.mark.parametrize(
    ("attack", "most"),
    [(bodies, 40), (blocks, 10), (bombs, 3), (partial, 1), (oversized, 4), (questions, 1)],
    ids=lambda what: getattr(what, "__name__", None),
)
def test_attacks_stay_within_the_limits(role: str, attack: Callable[[Victim, int], bytes], most: int) -> None:
    """Repeated until the connection ends, or long enough; nothing that we send is read. In MiB."""
    victim = Victim(role, Limits(streams=1_000))
    ids = [victim.stream(begun=False) for _ in range(900)] if not victim.server else range(1, 1_800, 2)
    with traced() as held:
        for stream in ids:
            for event in victim.conn.receive(attack(victim, stream), 0):
                del event
            if victim.conn.closed:
                break
        assert held()[1] < most * MIB
