"""Conditions that fail a load run, and the text form of them (`--fail-if`)."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from whichpod.model.errors import UsageError
from whichpod.model.units import parse_duration
from whichpod.model.verdict import Balance

Operator = Literal[">", ">=", "<", "<=", "==", "!="]
Unit = Literal["ns", "percent", "number", "class"]

COMPARE: dict[Operator, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
CLASSES = (Balance.EVEN, Balance.RANDOM, Balance.PARTIAL, Balance.SKEWED, Balance.NONE, Balance.SINGLE)
"""What `spread` may be compared with."""

_FORM = re.compile(r"\s*([a-z][\w.]*?)\s*(>=|<=|==|!=|>|<)\s*(\S.*?)\s*", re.IGNORECASE)
_PERCENTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,6})?)")
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(%?)")
_TIMES = ("max", "mean")
_COUNTS = ("errors", "dropped")
_PLAIN = ("done", "rps", "backends", "cv", "jain")
_SHARES = ("share.max", "share.min")
_EACH = ("errors", "done", "rps")
"""What else can be asked of each backend, beside latencies."""
_EXAMPLES = "p50 p99 p99.9 max mean errors dropped rps done spread cv jain share.max share.min backends"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition under which a run fails."""

    text: str
    """As it was given."""
    metric: str
    """Without its prefixes: `p99`, `errors`, `share.max`, …"""
    operator: Operator
    bound: float = 0.0
    """In ns, percent, or as it is, by `unit`."""
    unit: Unit = "number"
    balance: Balance | None = None
    """What `spread` is compared with."""
    per_backend: bool = False
    """Whether it fails the run as soon as one backend meets it."""
    service: bool = False
    """Whether the service time is meant, from the sending, and not the latency from the scheduled time."""

    @property
    def percentile(self) -> float | None:
        """0 to 100 where the metric is a percentile."""
        found = _PERCENTILE.fullmatch(self.metric)
        return float(found[1]) if found else None

    def holds(self, value: float) -> bool:
        """Whether the condition holds of a value in the bound's unit."""
        return COMPARE[self.operator](value, self.bound)

    def __str__(self) -> str:
        return self.text


def parse_threshold(text: str) -> Threshold:
    """Reads `p99>50ms`, `errors>0.1%`, `spread!=even`, `backend.p99>=2s`, `service.p50>1ms` and the like.

    Raises UsageError with what is understood.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise UsageError(
            f"--fail-if {text!r} is no condition.",
            fix="It is a metric, one of > >= < <= == !=, and a value: 'p99>50ms', 'errors>0.1%'.",
        )
    name, sign, value = found[1].lower(), _operator(found[2]), found[3]
    metric = name.removeprefix("backend.")
    per_backend = metric != name
    bare = metric.removeprefix("service.")
    service = bare != metric
    metric = bare
    times = metric in _TIMES or _percentile(metric, text)
    if not times and (service or metric not in (*_COUNTS, *_PLAIN, *_SHARES, "spread")):
        raise _unknown(text, name)
    if per_backend and not times and metric not in _EACH:
        raise UsageError(
            f"--fail-if {text!r}: {metric} is of the whole run, not of a backend.",
            fix=f"Write it without 'backend.', or ask {', '.join(_EACH)} or a latency of each backend.",
        )
    if metric == "spread":
        return Threshold(text, metric, sign, unit="class", balance=_class(text, sign, value))
    if times:
        return Threshold(text, metric, sign, _ns(text, value), "ns", None, per_backend, service)
    bound, unit = _amount(text, metric, value)
    return Threshold(text, metric, sign, bound, unit, None, per_backend)


def _operator(sign: str) -> Operator:
    return next(known for known in COMPARE if known == sign)


def _percentile(metric: str, text: str) -> bool:
    found = _PERCENTILE.fullmatch(metric)
    if found and not 0 < float(found[1]) <= 100:
        raise UsageError(f"--fail-if {text!r}: there is no percentile {found[1]}.", fix="Write p50 to p100.")
    return bool(found)


def _unknown(text: str, name: str) -> UsageError:
    near = difflib.get_close_matches(name.rpartition("service.")[2], _EXAMPLES.split(), n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return UsageError(
        f"--fail-if {text!r}: there is no metric {name!r}.",
        fix=f"{hint}Known: {_EXAMPLES}; service.p99 and the like; backend.p99, backend.errors and the like.",
    )


def _class(text: str, sign: Operator, value: str) -> Balance:
    known = {balance.value: balance for balance in CLASSES}
    if sign not in ("==", "!=") or value not in known:
        raise UsageError(
            f"--fail-if {text!r} is not understood.",
            fix=f"spread takes == or != and one of {', '.join(known)}.",
        )
    return known[value]


def _ns(text: str, value: str) -> float:
    value = value.replace(" ", "")
    if not value[-1:].isalpha():
        raise UsageError(
            f"--fail-if {text!r}: the time has no unit.", fix="Write us, ms or s after it: 50ms."
        )
    return float(round(parse_duration(value, f"--fail-if {text!r}: the time") * 1e9))


def _amount(text: str, metric: str, value: str) -> tuple[float, Unit]:
    found = _NUMBER.fullmatch(value)
    if not found:
        raise UsageError(f"--fail-if {text!r}: {value!r} is no number.", fix=_fix(metric))
    number = float(found[1])
    if found[2] and metric in _PLAIN:
        raise UsageError(f"--fail-if {text!r}: {metric} is no percentage.", fix=_fix(metric))
    if not found[2] and metric not in _SHARES:
        return number, "number"
    percent = number if found[2] else number * 100
    if percent > 100:
        raise UsageError(f"--fail-if {text!r}: a part is at most 100%.", fix=_fix(metric))
    return percent, "percent"


def _fix(metric: str) -> str:
    if metric in _SHARES:
        return f"Write it like {metric}>30% or {metric}>0.3."
    return (
        f"Write it like {metric}>0.1% or {metric}>10." if metric in _COUNTS else f"Write it like {metric}<10."
    )
