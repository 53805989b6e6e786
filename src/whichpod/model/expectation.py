"""What a distribution is expected to be, and the text form of it (`--expect`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from whichpod.model.errors import UsageError
from whichpod.model.plan import Plan


class Expect(StrEnum):
    """The kinds of expectation."""

    SINGLE = "single"
    """One backend exists, and it answered."""
    NONE = "none"
    """One of several backends took everything."""
    PARTIAL = "partial"
    """A subset answered."""
    RANDOM = "random"
    """Consistent with an independent choice per RPC, or more even than that."""
    EVEN = "even"
    """More even than chance, as round robin is."""
    EXACT = "exact"
    """Every backend the same number, give or take one."""
    AT_LEAST = "at-least"
    """At least so many backends answered."""
    WEIGHTS = "weights"
    """Shares in given proportions."""
    PINNED = "pinned"
    """Every channel stayed with one backend, whichever it was."""
    REFUSED = "refused"
    """No RPC reaches a backend: each fails with UNAVAILABLE."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """An expectation. A failed RPC fails all of them but REFUSED, unless `allow_failed`."""

    kind: Expect
    at_least: int = 0
    """Backends, for AT_LEAST; channels that must have been used, for PINNED."""
    weights: tuple[tuple[str, float], ...] = ()
    """(backend, relative weight), for WEIGHTS."""
    tolerance: float = 0.05
    """A backend's share may differ from its due by this part of it without being called skewed, however
    many RPCs make the difference significant."""
    confidence: float = 0.99
    """1 minus the chance of calling a balancer that chooses evenly at random skewed."""
    allow_failed: bool = False

    def __str__(self) -> str:
        if self.kind is Expect.AT_LEAST:
            return f"at-least={self.at_least}"
        if self.kind is Expect.WEIGHTS:
            return "weights=" + ",".join(f"{name}:{w:g}" for name, w in self.weights)
        if self.kind is Expect.PINNED and self.at_least:
            return f"pinned={self.at_least}"
        return self.kind.value


def expecting(plan: Plan, expectation: Expectation | None) -> Plan:
    """The plan of a client of which that is expected: where nobody should take its RPCs, that is no error."""
    return replace(plan, may_fail=True) if expectation and expectation.kind is Expect.REFUSED else plan


def parse_expectation(text: str) -> Expectation:
    """Reads `none|single|partial|random|even|exact|at-least=N|pinned[=CHANNELS]|weights=NAME:W,…|refused`.

    Raises UsageError with what is allowed.
    """
    name, _, value = text.strip().partition("=")
    try:
        kind = Expect(name)
    except ValueError:
        raise UsageError(
            f"There is no expectation {name!r}.",
            fix="Known: none, single, partial, random, even, exact, at-least=N, pinned, "
            "weights=POD:W,POD:W, refused.",
        ) from None
    if kind is Expect.WEIGHTS:
        return Expectation(kind, weights=_weights(value))
    if kind is Expect.AT_LEAST or (kind is Expect.PINNED and value):
        if not value.isdigit() or int(value) < 1:
            raise UsageError(
                f"{name} takes a number above zero, not {value!r}.", fix=f"For example: {name}=3"
            )
        return Expectation(kind, at_least=int(value))
    if value:
        raise UsageError(f"The expectation {name} takes no value.", fix=f"Write just: {name}")
    return Expectation(kind)


def _weights(value: str) -> tuple[tuple[str, float], ...]:
    example = "For example: weights=echo-0:90,echo-1:10"
    found: dict[str, float] = {}
    for part in filter(None, value.split(",")):
        name, _, number = part.rpartition(":")
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not name or not 0 <= weight < float("inf") or name in found:
            raise UsageError(f"{part!r} is not a backend with a weight.", fix=example)
        found[name] = weight
    if not any(found.values()):
        raise UsageError("No weight is above zero.", fix=example)
    return tuple(found.items())
