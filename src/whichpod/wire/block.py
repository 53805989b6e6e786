"""A decoded header block: its fields, and whether HTTP/2 allows them (RFC 9113, sections 8.1 to 8.3)."""

from __future__ import annotations

import re

from whichpod.wire.table import Pair

_NAME = re.compile(rb"[!-9;-@\[-~]+")
_VALUE = re.compile(rb"(?![ \t])[^\x00\n\r]*(?<![ \t])", re.DOTALL)
_BANNED = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_SPECIAL = _BANNED | {b"te", b"content-length"}
_TRAILERS = (b"te", b"trailers")
_NAME_OCTETS = bytes(octet for octet in range(0x21, 0x7F) if octet != 0x3A and not 0x41 <= octet <= 0x5A)
_REQUEST = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED = (b":method", b":scheme", b":path")
_RESPONSE = frozenset((b":status",))


class Block:
    """One header list. Equal blocks of bytes share one object for as long as the cache holds it."""

    __slots__ = (
        "_first", "authority", "content_length", "fields", "flaw", "method", "note",
        "oversize", "path", "plain", "status", "trailer_flaw", "trailing",
    )  # fmt: skip

    def __init__(self, fields: tuple[Pair, ...], *, request: bool, oversize: str = "") -> None:
        self.fields = fields
        self._first: dict[bytes, bytes] | None = None
        self.note: object = None
        """For the layer above: what it worked out from the fields, kept as long as the block."""
        self.plain: bool | None = None
        """Starts a collected message like any other; None until the connection has looked at it."""
        self.oversize = oversize
        """Why the list is over a limit, else empty. Then `fields` holds only what came before."""
        self.content_length: int | None = None
        self.status = 0
        """The status of a response, else 0."""
        self.method = self.path = self.authority = b""
        pseudo: dict[bytes, bytes] = {}
        flaw = self._fields(pseudo)
        self.trailer_flaw = oversize or flaw or (pseudo and "trailers with pseudo-header fields") or ""
        """Why it can't be trailers, else empty."""
        self.flaw = oversize or flaw or (self._request(pseudo) if request else self._response(pseudo))
        """Why it can't start a message of the peer, else empty."""
        self.trailing = not self.trailer_flaw

    def get(self, name: bytes) -> bytes | None:
        """The first field of that name."""
        if self._first is None:
            self._first = dict(reversed(self.fields))
        return self._first.get(name)

    def get_all(self, name: bytes) -> list[bytes]:
        """Every field of that name."""
        return [value for key, value in self.fields if key == name]

    def __repr__(self) -> str:
        return f"Block({self.fields!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Block) and (self.fields, self.flaw) == (other.fields, other.flaw)

    __hash__ = None  # type: ignore[assignment]

    def _fields(self, pseudo: dict[bytes, bytes]) -> str:
        """Why some field is not allowed, else empty; pseudo-header fields are added to `pseudo`."""
        if self._all_sound(pseudo):
            return ""
        pseudo.clear()
        regular = False
        for name, value in self.fields:
            if name[:1] == b":":
                if regular:
                    return f"pseudo-header field {_show(name)} after a regular one"
                if name in pseudo:
                    return f"pseudo-header field {_show(name)} twice"
                pseudo[name] = value
            else:
                regular = True
                if not _NAME.fullmatch(name):
                    return f"field name {_show(name)}"
                if name in _BANNED or (name == b"te" and value.lower() != b"trailers"):
                    return f"connection-specific field {_show(name)}"
            # gRPC's percent-encoding leaves spaces at either end of a message as they are.
            if not _VALUE.fullmatch(value.strip(b" ") if name == b"grpc-message" else value):
                return f"value of field {_show(name)}"
            if name == b"content-length" and not self._length(value):
                return f"content-length {_show(value)}"
        return ""

    def _all_sound(self, pseudo: dict[bytes, bytes]) -> bool:
        """Whether all fields together are as `_fields` wants them, one by one: proxies add fields that differ
        from message to message, so that much of what a block costs is this. False may be wrong."""
        fields = self.fields
        count = 0
        for name, value in fields:
            if name[:1] != b":":
                break
            pseudo[name] = value
            count += 1
        # gRPC's own: the one connection-specific field that is allowed.
        names = [pair[0] for pair in fields[count:] if pair != _TRAILERS]
        lines = b"\n".join([b"", *[value for _, value in fields], b""])
        return (
            len(pseudo) == count
            and b"" not in names
            and not b"".join(names).translate(None, _NAME_OCTETS)
            and _SPECIAL.isdisjoint(names)
            and lines.count(b"\n") == len(fields) + 1
            and b"\0" not in lines
            and b"\r" not in lines
            and b"\n " not in lines
            and b" \n" not in lines
            and b"\t" not in lines
        )

    def _length(self, value: bytes) -> bool:
        if not value.isdigit() or len(value) > 19:
            return False
        length = int(value)
        if self.content_length not in (None, length):
            return False
        self.content_length = length
        return True

    def _request(self, pseudo: dict[bytes, bytes]) -> str:
        for name in pseudo:
            if name not in _REQUEST:
                return f"pseudo-header field {_show(name)} in a request"
        self.method = pseudo.get(b":method", b"")
        self.path = pseudo.get(b":path", b"")
        self.authority = pseudo.get(b":authority", b"")
        if self.method == b"CONNECT":
            return "" if set(pseudo) == {b":method", b":authority"} else "pseudo-header fields of CONNECT"
        for name in _NEEDED:
            if not pseudo.get(name):
                return f"no {_show(name)}"
        if pseudo[b":scheme"] in (b"http", b"https") and not self.path.startswith((b"/", b"*")):
            return f":path {_show(self.path)}"
        host = self.get(b"host")
        if host is not None and self.authority and host.lower() != self.authority.lower():
            return "host differs from :authority"
        return ""

    def _response(self, pseudo: dict[bytes, bytes]) -> str:
        for name in pseudo:
            if name not in _RESPONSE:
                return f"pseudo-header field {_show(name)} in a response"
        status = pseudo.get(b":status", b"")
        # 101 is HTTP/1.1's alone (section 8.6).
        if len(status) != 3 or not status.isdigit() or int(status) < 100 or status == b"101":
            return f":status {_show(status)}"
        self.status = int(status)
        return ""


def _show(name: bytes) -> str:
    return ascii(name[:40].decode("latin-1"))
