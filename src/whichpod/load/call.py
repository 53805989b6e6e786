"""What a load run calls, and how the one who answers is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whichpod.load.fields import encode_bytes

How = Literal["echo", "servers", "header", "trailer", "field", "peer"]
ECHO_PATH = "/whichpod.echo.v1.EchoService/Echo"


@dataclass(frozen=True, slots=True)
class Identify:
    """How the backend of an answer is told."""

    how: How = "servers"
    """`echo`: the answer is the echo service's. `servers`: by the trailers that whichpod's servers send.
    `header`, `trailer`: by that of `name`. `field`: by the answer's field of `numbers`. `peer`: by the
    address at the other end of the connection."""
    name: str = ""
    """Of the header or trailer, in lower case; of the field, for a person."""
    numbers: tuple[int, ...] = ()
    """Field numbers from the answer's message down to the field (Protobuf's wire format)."""


@dataclass(frozen=True, slots=True)
class Call:
    """A unary call that is repeated."""

    path: str
    """/package.Service/Method"""
    message: bytes = b""
    """The request, serialised."""
    identify: Identify = Identify()


def echo_call(payload: bytes = b"") -> Call:
    """The echo service's unary call."""
    return Call(ECHO_PATH, encode_bytes(1, payload) if payload else b"", Identify("echo"))
