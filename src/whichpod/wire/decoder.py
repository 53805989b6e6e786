"""Header blocks to fields (HPACK, RFC 7541), with a cache of the blocks that leave the table as it was."""

from __future__ import annotations

from hpack.exceptions import HPACKError

from whichpod.wire import huffman
from whichpod.wire.block import Block
from whichpod.wire.errors import ErrorCode, RemoteProtocolError
from whichpod.wire.limits import Limits
from whichpod.wire.table import ENTRY_OVERHEAD, FIRST_DYNAMIC, STATIC, Pair, Table, decode_integer

DEFAULT_TABLE = 4_096
CACHED_BLOCK = 4_096
CACHED_BYTES = 1_048_576
BOMB = 16
"""A list so many times over its limit ends the connection: decoding it for the table costs too much."""


class Decoder:
    """One direction's decoding context.

    The block is decoded in one pass over its bytes whatever its size, and to its end even where the list is
    over a limit, so that the table stays in step with the peer's. (hpack's own decoder copies the rest of the
    block for each literal, and stops at the limit.) Raises where a list is past all bounds.
    """

    __slots__ = ("_allowed", "_cached_bytes", "_limits", "_requests", "_table", "cache", "generation")

    def __init__(self, limits: Limits, *, requests: bool) -> None:
        self.generation = 0
        """Differs whenever the cache was emptied because its blocks mean something else now."""
        self.cache: dict[bytes, Block] = {}
        """Blocks by their bytes, true for the table as it is now. Emptied in place when the table changes."""
        self._cached_bytes = 0
        self._limits = limits
        self._requests = requests
        self._table = Table(DEFAULT_TABLE)
        # Until the peer has acknowledged our settings it may use the default.
        self._allowed = max(DEFAULT_TABLE, limits.table)

    def acknowledged(self) -> None:
        """The peer has our settings: from now on its table is at most as large as they say."""
        self._allowed = self._limits.table

    def decode(self, data: bytes) -> Block:
        """The block's fields. Raises RemoteProtocolError COMPRESSION_ERROR for what can't be decoded."""
        generation = self._table.generation
        try:
            block = self._decode(data)
        except (IndexError, HPACKError) as error:
            raise RemoteProtocolError(
                f"A header block can't be decoded: {error or 'it is truncated'}.", ErrorCode.COMPRESSION_ERROR
            ) from error
        if self._table.limit > self._allowed:
            raise RemoteProtocolError(
                f"The header table was not shrunk to {self._allowed}.", ErrorCode.COMPRESSION_ERROR
            )
        if self._table.generation != generation:
            self.generation = self._table.generation
            self._forget()
        elif len(data) <= CACHED_BLOCK and not block.oversize:
            self._cached_bytes += len(data) + sum(len(n) + len(v) + ENTRY_OVERHEAD for n, v in block.fields)
            if self._cached_bytes > CACHED_BYTES:
                self._forget()
            self.cache[data] = block
        return block

    def _forget(self) -> None:
        self.cache.clear()
        self._cached_bytes = 0

    def _decode(self, data: bytes) -> Block:
        table, most, most_fields = self._table, self._limits.header_list, self._limits.fields
        fields: list[Pair] = []
        at, count, size, end = 0, 0, 0, len(data)
        while at < end:
            octet = data[at]
            if 0x80 < octet < FIRST_DYNAMIC | 0x80:
                # Of the static table: most fields of most blocks.
                pair = STATIC[octet - 0x81]
                at += 1
            elif octet & 0x80:
                index, at = decode_integer(data, at, 0x7F)
                pair = table.get(index)
            elif octet & 0x40:
                pair, at = self._literal(data, at, 0x3F)
                table.add(pair)
            elif octet & 0x20:
                limit, at = decode_integer(data, at, 0x1F)
                if count or limit > self._allowed:
                    raise HPACKError("a table size update out of place or over the limit")
                table.resize(limit)
                continue
            else:
                pair, at = self._literal(data, at, 0x0F)
            count += 1
            size += ENTRY_OVERHEAD + len(pair[0]) + len(pair[1])
            if size <= most and count <= most_fields:
                fields.append(pair)
            elif size > most * BOMB or count > most_fields * BOMB:
                raise RemoteProtocolError(
                    f"A header list of over {count - 1} fields and {size >> 10} KiB.",
                    ErrorCode.ENHANCE_YOUR_CALM,
                )
        oversize = ""
        if size > most or count > most_fields:
            oversize = f"a header list of {count} fields and {size} bytes"
        return Block(tuple(fields), request=self._requests, oversize=oversize)

    def _literal(self, data: bytes, at: int, mask: int) -> tuple[Pair, int]:
        index, at = decode_integer(data, at, mask)
        if index:
            name = self._table.get(index)[0]
        else:
            name, at = _string(data, at)
        value, at = _string(data, at)
        return (name, value), at


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """A string literal (RFC 7541, section 5.2) and the offset after it."""
    coded = data[at] & 0x80
    length, at = decode_integer(data, at, 0x7F)
    after = at + length
    if after > len(data):
        raise IndexError("a string ends after the block")
    text = data[at:after]
    return (huffman.decode(text) if coded else text), after
