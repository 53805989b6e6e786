"""Options that several commands share, and the reading of their values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expect, Expectation, parse_expectation
from whichpod.model.target import Target, Tls

ProxyMode = Annotated[
    str, typer.Option(help="kube-proxy's rules in netns: iptables or nftables [default: iptables].")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object (versioned schema) instead of text.")
]
Metadata = Annotated[
    list[str] | None, typer.Option("-H", "--metadata", help='Metadata, "key: value"; repeatable.')
]
Method = Annotated[
    str, typer.Option(help="Call this unary method, package.Service/Method, instead of the echo service.")
]
Data = Annotated[str, typer.Option(help="Its request: JSON or @FILE; the types are learnt by reflection.")]
Deadline = Annotated[str, typer.Option(help="Deadline of each RPC.")]
Identify = Annotated[
    str,
    typer.Option(
        help="What tells the server: header:NAME, trailer:NAME or field:PATH of its answers, or peer."
    ),
]
Backends = Annotated[str, typer.Option(help="Who should answer: a number, or names or addresses a,b,c.")]
UseTls = Annotated[bool, typer.Option("--tls", help="TLS with the default roots.")]
Ca = Annotated[str, typer.Option(help="PEM roots to trust (implies --tls).")]
Cert = Annotated[str, typer.Option(help="PEM client certificate (mutual TLS).")]
Key = Annotated[str, typer.Option(help="PEM key of it.")]
ServerName = Annotated[str, typer.Option(help="Name to expect in the server's certificate.")]
Authority = Annotated[str, typer.Option(help="The :authority to send.")]
Expected = Annotated[
    str,
    typer.Option(
        help="none, single, partial, random, even, exact, at-least=N, pinned, weights=POD:W,POD:W or refused;"
        " sets the exit code."
    ),
]
Tolerance = Annotated[float, typer.Option(help="A share this much off its due is never called skewed.")]
Confidence = Annotated[float, typer.Option(help="1 - the chance of calling a fair random balancer skewed.")]
Seed = Annotated[int, typer.Option(help="Seed of what is random in the client.")]


def text_or_file(value: str, option: str) -> str:
    """The value, or the content of FILE where it is @FILE. Raises UsageError naming the option."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"{option}: {value[1:]} can't be read: {why}.", fix="Name a readable file after @."
        ) from None


def metadata_pairs(values: list[str]) -> tuple[tuple[str, str], ...]:
    """`key: value` or `key=value` strings as pairs. Raises UsageError naming the one at fault."""
    pairs = []
    for value in values:
        cut = min((i for i in (value.find(":"), value.find("=")) if i > 0), default=-1)
        if cut < 0:
            raise UsageError(f"--metadata {value!r} has no key.", fix='Write it like -H "x-tenant: blue".')
        pairs.append((value[:cut].strip().lower(), value[cut + 1 :].strip()))
    return tuple(pairs)


def tls_of(tls: bool, ca: str, cert: str, key: str, server_name: str) -> Tls | None:
    """The client's TLS; None where no option asks for it."""
    return Tls(ca, cert, key, server_name) if tls or ca or cert or key or server_name else None


def expectation_of(
    text: str, tolerance: float, confidence: float, *, refused: bool = False
) -> Expectation | None:
    """The expectation; None where there is none. Raises UsageError naming the option at fault.

    `refused`: whether the command can tell that; it takes a probe.
    """
    if not 0 <= tolerance < 1:
        raise UsageError(
            f"--tolerance {tolerance:g} makes no sense.", fix="It takes 0 to below 1, such as 0.05."
        )
    if not 0.5 <= confidence < 1:
        raise UsageError(
            f"--confidence {confidence:g} makes no sense.", fix="It takes 0.5 to below 1, such as 0.99."
        )
    if not text:
        return None
    found = parse_expectation(text)
    if found.kind is Expect.REFUSED and not refused:
        raise UsageError("--expect refused is for a probe.", fix="whichpod probe, or whichpod k8s probe.")
    return dataclasses.replace(found, tolerance=tolerance, confidence=confidence)


def with_backends(target: Target, backends: str) -> Target:
    """The target with the servers that should answer, where the user gave them. Raises UsageError."""
    if not backends:
        return target
    if backends.lstrip("-").isdigit():
        if int(backends) < 1:
            raise UsageError(
                f"--backends {backends} makes no sense.", fix="It takes a number above zero, or names."
            )
        return dataclasses.replace(target, known=(), known_count=int(backends), known_by="given")
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in backends.split(",")))))
    return dataclasses.replace(target, known=names, known_count=len(names), known_by="given")
