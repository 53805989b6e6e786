"""Faults that change while a server runs: a JSON file in the words of its flags.

    {"delay": "100ms", "fail_rate": 0.5, "fail_code": "UNAVAILABLE", "fail_how": "trailers-only",
     "pods": {"echo-1": {"delay": "2s"}}}

What is said for a pod goes before what is said for all, and that before the flags. Without the file, or where
it is empty, the flags hold.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from whichpod.echo.faults import HOWS, Faults, parse_delay
from whichpod.model.errors import UsageError

LARGEST = 1 << 20
"""Bytes that the file may have."""
_KINDS: dict[str, tuple[type, str]] = {
    "delay": (str, 'a text like "100ms"'),
    "fail_rate": (float, "a number from 0 to 1"),
    "fail_code": (str, "the name of a status"),
    "fail_how": (str, " or ".join(HOWS)),
}

FaultsOf = Callable[[str], Faults]
"""The faults of the pod with that name."""


def read_faults(path: str, flags: Faults) -> FaultsOf:
    """What the file says, over what the flags say. Raises UsageError for what it can't mean."""
    said = _loaded(path)
    pods = said.pop("pods", {})
    if not isinstance(pods, dict):
        raise UsageError(f'{path}: "pods" must be an object: pod names and what holds for each.')
    shared = faults_over(flags, said, path)
    named = {name: faults_over(shared, own, f"{path}: pod {name}") for name, own in pods.items()}
    return lambda pod: named.get(pod, shared)


def _loaded(path: str) -> dict[str, Any]:
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise UsageError(f"{path} is no regular file.", fix="Name a file that can be read again.")
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} can't be read: {why}.", fix="Name a file that whichpod may read.") from None
    if len(data) > LARGEST:
        raise UsageError(f"{path} is larger than {LARGEST} bytes.")
    if not data.strip():
        return {}
    try:
        said = json.loads(data, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}.") from None
    if not isinstance(said, dict):
        raise UsageError(f"{path} is no JSON object.", fix='Write {"delay": "100ms"}, for example.')
    return said


def faults_over(faults: Faults, said: Any, where: str) -> Faults:
    """The faults with what is said changed. Raises UsageError, naming where it was said."""
    if not isinstance(said, Mapping):
        raise UsageError(f"{where}: faults must be an object.", fix='Write {"delay": "100ms"}, for example.')
    for key, value in said.items():
        if key not in _KINDS:
            raise UsageError(f"{where}: {key!r} is no fault.", fix=f"Known: {', '.join(_KINDS)}.")
        kind, meaning = _KINDS[key]
        if not isinstance(value, kind):
            raise UsageError(
                f"{where}: {key} {json.dumps(value)} makes no sense.", fix=f"It takes {meaning}."
            )
    old = faults.failure
    failure = replace(
        old,
        rate=said.get("fail_rate", old.rate),
        code=said.get("fail_code", old.code).upper(),
        how=said.get("fail_how", old.how),
    )
    try:
        failure.check()
        delay = parse_delay(said["delay"]) if "delay" in said else faults.delay
    except UsageError as error:
        raise UsageError(f"{where}: {error.message}", fix=error.fix) from None
    return Faults(delay, failure)
