"""Scenes made by hand: who answered what, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from whichpod.judge.answers import Scene
from whichpod.model.dynamic import StepDone
from whichpod.model.events import LabEvent
from whichpod.model.tally import Observation
from whichpod.model.target import Backend
from whichpod.model.timeline import Timeline

SECOND = 1_000_000_000
START = 100 * SECOND
"""When runs begin here."""
INTERVAL = SECOND // 10


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def played(
    who: Callable[[int, float], str],
    *,
    seconds: float = 10,
    rate: int = 50,
    took: Callable[[str], float] = lambda _: 0.001,
) -> Timeline:
    """`who` says, of RPC n that is due at a time, which pod answers it; `!pod` fails it; `!` fails untold."""
    found = Timeline(INTERVAL)
    for n in range(round(seconds * rate)):
        due = n / rate
        name = who(n, due)
        pod = name.removeprefix("!")
        zone = f"zone-{pod[:1]}"
        backend = Backend(f"id-{pod}", pod=pod, ip="10.0.0.1", zone=zone) if pod else None
        status = "UNAVAILABLE" if name.startswith("!") else "OK"
        ended = at(due) + round(took(pod) * SECOND)
        found.add(Observation(n, at(due), at(due), ended, 0, "", backend, status))
    return found


def scene(
    timeline: Timeline,
    *,
    steps: Sequence[StepDone] = (),
    events: Sequence[tuple[float, str, str]] = (),
    clients: Sequence[Timeline] = (),
    serving: Sequence[str] = ("echo",),
    seconds: float = 10,
) -> Scene:
    happened = [LabEvent(at(-1), "ready", f"echo-{n}") for n in range(2)]
    happened += [LabEvent(at(when), kind, what) for when, kind, what in events]
    return Scene(timeline, clients or [timeline], steps, happened, serving, at(0), at(seconds))


def step(name: str, when: float, *, until: float | None = None, pod: str = "") -> StepDone:
    return StepDone(name, name, at(when), at(when if until is None else until), pod)


COMES = [
    (2.0, "created", "echo-2"),
    (3.0, "ready", "echo-2"),
    (3.0, "created", "echo-3"),
    (4.0, "ready", "echo-3"),
]
"""Two pods join two others."""
