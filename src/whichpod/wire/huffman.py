"""HPACK's Huffman code (RFC 7541, section 5.2 and appendix B), decoded an octet at a time.

The tree is walked once for each place in it and octet that comes up; what an octet brings there is kept.
"""

from __future__ import annotations

from functools import lru_cache

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_END_OF_STRING = 256
SHORT = 128
"""Octets of a string that is remembered: proxies code a path anew for each message."""


class _Place:
    """A place in the tree between two octets."""

    __slots__ = ("ends", "node", "steps")

    def __init__(self, node: _Node, *, ends: bool) -> None:
        self.node = node
        self.ends = ends
        """Whether a string may end here: what is left over is padding, less than an octet of ones."""
        self.steps: list[tuple[bytes, _Place] | None] = [None] * 256
        """By the next octet: the octets that it completes, and where it leads."""

    def step(self, octet: int) -> tuple[bytes, _Place]:
        """Walks the tree along eight bits."""
        node, out = self.node, bytearray()
        for shift in range(7, -1, -1):
            following = node.ways[octet >> shift & 1]
            if isinstance(following, int):
                if following == _END_OF_STRING:
                    raise HPACKDecodingError("a Huffman-coded string holds its end")
                out.append(following)
                node = _ROOT
            else:
                node = following
        step = self.steps[octet] = (bytes(out), node.place())
        return step


class _Node:
    __slots__ = ("_place", "depth", "only_ones", "ways")

    def __init__(self, depth: int, *, only_ones: bool) -> None:
        self.depth = depth
        self.only_ones = only_ones
        self.ways: list[_Node | int] = []
        self._place: _Place | None = None

    def place(self) -> _Place:
        if self._place is None:
            self._place = _Place(self, ends=self.only_ones and self.depth < 8)
        return self._place


def _tree() -> _Node:
    codes = {
        format(code, f"0{length}b"): symbol
        for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True))
    }

    def grown(path: str) -> _Node | int:
        if path in codes:
            return codes[path]
        node = _Node(len(path), only_ones="0" not in path)
        node.ways = [grown(path + "0"), grown(path + "1")]
        return node

    root = grown("")
    assert isinstance(root, _Node)
    return root


_ROOT = _tree()
_START = _ROOT.place()


def decode(data: bytes) -> bytes:
    """The string that was coded. Raises HPACKDecodingError for padding that is too long or not all ones, and
    for the end-of-string symbol."""
    return _remembered(data) if len(data) <= SHORT else _decoded(data)


def _decoded(data: bytes) -> bytes:
    place = _START
    out = []
    for octet in data:
        step = place.steps[octet] or place.step(octet)
        out.append(step[0])
        place = step[1]
    if not place.ends:
        raise HPACKDecodingError("a Huffman-coded string is padded wrongly")
    return b"".join(out)


_remembered = lru_cache(512)(_decoded)
