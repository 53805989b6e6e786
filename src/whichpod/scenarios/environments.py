"""What reports of several labs say of all of them."""

from __future__ import annotations

STAND_INS = "stand-ins"
_LISTS = ("real", STAND_INS)


def add(environment: dict[str, str], parts: dict[str, str]) -> None:
    """Adds what a lab had; what is real in it and what stands in for something is its own, and all of it is
    to be told."""
    before = {name: environment.get(name, "") for name in _LISTS}
    environment.update(parts)
    for name in _LISTS:
        said = "; ".join((before[name], parts.get(name, ""))).split("; ")
        if joined := "; ".join(dict.fromkeys(filter(None, said))):
            environment[name] = joined
