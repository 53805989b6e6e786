"""Fields to header blocks (HPACK, RFC 7541), made so that repeated lists become constant bytes."""

from __future__ import annotations

from collections.abc import Callable

from whichpod.wire.table import Pair, Table, encode_integer

Fields = tuple[Pair, ...]

NEVER_INDEXED = frozenset((b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"))
"""Secrets, which must not be guessable through the table's size (RFC 7541, section 7.1.3)."""
VARYING = frozenset((
    b"grpc-timeout", b"grpc-message", b"grpc-status-details-bin", b"content-length", b"date", b"traceparent",
    b"x-request-id", b"endpoint-load-metrics-bin",
))  # fmt: skip
"""Not worth a place in the table: the next one differs."""
CACHED_LISTS = 512
DEFAULT_TABLE = 4_096


class Encoder:
    """One direction's encoding context.

    Fields are added to the table while there is room and nothing is ever evicted, so the table settles, and
    then equal lists have equal bytes. `on_change` is called when bytes made before are no longer true.
    """

    def __init__(self, limit: int, on_change: Callable[[], None] = lambda: None) -> None:
        # The table starts at the protocol's default: a higher limit of ours waits for the peer's consent.
        self._table = Table(DEFAULT_TABLE)
        self._limit = limit
        self._cache: dict[Fields, bytes] = {}
        self._announce: list[int] = []
        self._on_change: Callable[[], None] = lambda: None
        self.resize(DEFAULT_TABLE)
        self._on_change = on_change

    @property
    def generation(self) -> int:
        """Differs whenever the table or what must be announced about it has changed."""
        return self._table.generation

    def resize(self, allowed: int) -> None:
        """The peer's SETTINGS_HEADER_TABLE_SIZE: the next block starts with the change (section 4.2).

        Of several changes between two blocks the smallest and the last are announced.
        """
        target = min(allowed, self._limit)
        if target == self._table.limit:
            return
        smallest = min([*self._announce, target])
        self._announce = [target] if smallest == target else [smallest, target]
        self._table.resize(target)
        self._changed()

    def encode(self, fields: Fields) -> bytes:
        """A header block. Its bytes hold as long as `generation` stays what it was before the call."""
        block = self._cache.get(fields)
        if block is not None:
            return block
        generation = self._table.generation
        announced = bool(self._announce)
        block = b"".join([encode_integer(size, 0x1F, 0x20) for size in self._announce])
        self._announce = []
        block += b"".join([self._field(pair) for pair in fields])
        if announced or self._table.generation != generation:
            self._table.generation += announced
            self._changed()
        else:
            if len(self._cache) >= CACHED_LISTS:
                self._cache.clear()
            self._cache[fields] = block
        return block

    def _changed(self) -> None:
        self._cache.clear()
        self._on_change()

    def _field(self, pair: Pair) -> bytes:
        index = self._table.find(pair)
        name, value = pair
        if name in NEVER_INDEXED:
            return self._literal(name, value, 0x0F, 0x10)
        if index:
            return encode_integer(index, 0x7F, 0x80)
        if name not in VARYING and self._table.fits(pair):
            block = self._literal(name, value, 0x3F, 0x40)
            self._table.add(pair)
            return block
        return self._literal(name, value, 0x0F, 0x00)

    def _literal(self, name: bytes, value: bytes, mask: int, pattern: int) -> bytes:
        index = self._table.find_name(name)
        start = encode_integer(index, mask, pattern)
        if not index:
            start += encode_integer(len(name), 0x7F, 0) + name
        return start + encode_integer(len(value), 0x7F, 0) + value
