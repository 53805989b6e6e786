"""Injected delay and failure."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import Literal

from whichpod.model.errors import UsageError
from whichpod.model.units import parse_duration

CODES = (
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""gRPC's status codes other than OK."""

HOWS = ("trailers-only", "after-headers", "after-message")
"""What a failure comes after (gRPC over HTTP/2, Responses): nothing, so that its trailers are all there is;
header fields; or header fields and the first answer."""

LONGEST_S = 3600.0
_FORM = re.compile(r"(fixed|uniform|normal|exponential|lognormal):(.+)", re.DOTALL)
Shape = Literal["fixed", "uniform", "normal", "exponential", "lognormal"]


@dataclass(frozen=True, slots=True)
class Delay:
    """A distribution of delays in seconds; never below 0 nor above an hour."""

    shape: Shape = "fixed"
    a: float = 0.0
    """fixed: the delay; uniform: the least; normal and exponential: the mean; lognormal: the median."""
    b: float = 0.0
    """uniform: the most; normal: the standard deviation; lognormal: sigma of the logarithm, no unit."""

    def sample(self, dice: random.Random) -> float:
        """One delay in seconds."""
        match self.shape:
            case "fixed":
                value = self.a
            case "uniform":
                value = dice.uniform(self.a, self.b)
            case "normal":
                value = dice.gauss(self.a, self.b)
            case "exponential":
                value = dice.expovariate(1 / self.a)
            case "lognormal":
                value = dice.lognormvariate(math.log(self.a), self.b)
        return min(max(value, 0.0), LONGEST_S)


@dataclass(frozen=True, slots=True)
class Failure:
    """RPCs that fail: their share, 0 to 1, the status code's name, and what the status comes after."""

    rate: float = 0.0
    code: str = "UNAVAILABLE"
    how: str = "trailers-only"

    def check(self) -> None:
        """Raises UsageError where it makes no sense."""
        if not 0 <= self.rate <= 1:
            raise UsageError(
                f"--fail-rate {self.rate:g} makes no sense.", fix="It takes a share from 0 to 1."
            )
        if self.code not in CODES:
            raise UsageError(f"There is no gRPC status {self.code!r}.", fix=f"Known: {', '.join(CODES)}.")
        if self.how not in HOWS:
            raise UsageError(f"--fail-how {self.how!r} makes no sense.", fix=f"It takes {' or '.join(HOWS)}.")


@dataclass(frozen=True, slots=True)
class Faults:
    """What is injected into the RPCs of a server."""

    delay: Delay = Delay()
    failure: Failure = Failure()

    @property
    def delays(self) -> bool:
        """Whether there is any delay."""
        return self.delay.a > 0 or self.delay.b > 0

    @property
    def calm(self) -> bool:
        """Neither delays nor failures."""
        return not self.delays and not self.failure.rate


def parse_delay(text: str) -> Delay:
    """Reads `10ms`, `uniform:5ms..20ms`, `normal:20ms,5ms`, `exponential:10ms` or `lognormal:10ms,0.5`."""
    form = _FORM.fullmatch(text.strip())
    shape, rest = (form[1], form[2]) if form else ("fixed", text)
    parts = rest.split(".." if shape == "uniform" else ",")
    if len(parts) != (1 if shape in ("fixed", "exponential") else 2):
        raise _bad(text)
    a = parse_duration(parts[0], "--delay")
    match shape:
        case "uniform":
            b = parse_duration(parts[1], "--delay")
            if b < a:
                raise _bad(text)
            delay = Delay("uniform", a, b)
        case "normal":
            delay = Delay("normal", a, parse_duration(parts[1], "--delay"))
        case "lognormal":
            delay = Delay("lognormal", a, _sigma(parts[1], text))
        case "exponential":
            delay = Delay("exponential", a)
        case _:
            delay = Delay("fixed", a)
    if shape in ("exponential", "lognormal") and a <= 0:
        raise _bad(text)
    if max(a, 0 if shape == "lognormal" else delay.b) > LONGEST_S:
        raise UsageError(f"--delay {text} is longer than an hour.", fix="It takes 1h at most.")
    return delay


def _sigma(part: str, text: str) -> float:
    try:
        sigma = float(part)
    except ValueError:
        raise _bad(text) from None
    if not 0 <= sigma <= 10:
        raise _bad(text)
    return sigma


def _bad(text: str) -> UsageError:
    return UsageError(
        f"--delay {text!r} is no delay.",
        fix="Write 10ms, uniform:5ms..20ms, normal:20ms,5ms, exponential:10ms or lognormal:10ms,0.5.",
    )
