"""Steps: what is done to a lab, and when."""

from __future__ import annotations

import signal as signals
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichpod.cluster.protocol import Client, LiveLab
from whichpod.manifest.load import load
from whichpod.model.dynamic import StepDone
from whichpod.model.errors import LabError, TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.scenarios.dynamic.paths import refuse_unknown

SERVING = "serving"
"""As a step's pod: the one that answered last."""
SIGNALS = {"KILL": signals.SIGKILL, "STOP": signals.SIGSTOP, "CONT": signals.SIGCONT, "TERM": signals.SIGTERM}
NEWCOMERS = 10
"""RPCs of a client that a step starts."""

_WORDS: dict[str, set[str]] = {
    "scale": {"deployment", "replicas"},
    "restart": {"deployment"},
    "delete": {"pod"},
    "signal": {"pod", "signal"},
    "fault": {"pod", "faults"},
    "well": {"pod"},
    "control-plane": {"up"},
    "dns": {"up"},
    "apply": {"manifests"},
    "newcomer": set(),
}
_COMMON = {"name", "at_s", "do"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done to a lab."""

    name: str
    at_s: float
    """Seconds after the load began; later where the step before took longer."""
    do: str
    given: dict[str, Any] = field(default_factory=dict)

    def words(self, pod: str) -> str:
        """What is done, for people."""
        g = self.given
        match self.do:
            case "scale":
                return f"scale {g['deployment']} to {g['replicas']}"
            case "restart":
                return f"rolling restart of {g['deployment']}"
            case "signal":
                return f"SIG{g['signal']} to {pod}"
            case "fault":
                return f"{pod}: {', '.join(f'{k} {v}' for k, v in g['faults'].items())}"
            case "control-plane" | "dns":
                what = "control plane" if self.do == "control-plane" else "DNS"
                return f"{what} {'is back' if g['up'] else 'dies'}"
            case "apply":
                return f"apply {', '.join(Path(m).name for m in g['manifests'])}"
            case "newcomer":
                return "a client starts"
            case _:
                return f"{self.do} {pod}"


def read_step(data: dict[str, Any], folder: Path) -> Step:
    """A step as a scenario has it. Raises ValueError, KeyError."""
    name, do = data["name"], data["do"]
    if do not in _WORDS:
        raise ValueError(f"step {name}: there is no {do!r}; known are {', '.join(_WORDS)}")
    refuse_unknown(f"step {name}", data, _WORDS[do] | _COMMON)
    missing = sorted(_WORDS[do] - set(data))
    if missing:
        raise ValueError(f"step {name}: {missing[0]} is missing")
    if do == "signal" and data["signal"] not in SIGNALS:
        raise ValueError(
            f"step {name}: there is no signal {data['signal']!r}; known are {', '.join(SIGNALS)}"
        )
    given = {k: v for k, v in data.items() if k not in _COMMON}
    if do == "apply":
        given["manifests"] = [str((folder / m).resolve()) for m in data["manifests"]]
    return Step(name, float(data["at_s"]), do, given)


async def take(
    lab: LiveLab, step: Step, client: Client, plan: Plan, before: list[StepDone], serving: Callable[[], str]
) -> StepDone:
    """Does what the step says, and tells when it did. `plan` is that of clients that it starts.

    Raises what the lab raises.
    """
    pod = _pod(step, before, serving)
    began = time.monotonic_ns()
    done = failed = 0
    remark = ""
    g = step.given
    match step.do:
        case "scale":
            await lab.scale(g["deployment"], g["replicas"])
        case "restart":
            await lab.restart(g["deployment"])
        case "delete":
            await lab.delete(pod)
        case "signal":
            await lab.kill(pod, SIGNALS[g["signal"]])
        case "fault":
            await lab.fault(pod, g["faults"])
        case "well":
            await lab.fault(pod, None)
        case "control-plane":
            await lab.control_plane(up=g["up"])
        case "dns":
            await lab.dns(up=g["up"])
        case "apply":
            await lab.apply(load(*map(Path, g["manifests"])))
        case "newcomer":
            done, failed, remark = await _newcomer(lab, client, plan)
    return StepDone(step.name, step.words(pod), began, time.monotonic_ns(), pod, done, failed, remark)


def _pod(step: Step, before: list[StepDone], serving: Callable[[], str]) -> str:
    """The pod that a step is about: by name, the one that serves, or that of an earlier step."""
    wanted = str(step.given.get("pod", ""))
    if wanted == SERVING:
        found = serving()
        if not found:
            raise LabError(f"The step {step.name} is to hit the pod that serves, and none has answered yet.")
        return found
    return next((s.pod for s in before if s.name == wanted), wanted)


async def _newcomer(lab: LiveLab, client: Client, plan: Plan) -> tuple[int, int, str]:
    try:
        report = await lab.probe(client, plan)
    except (TargetError, UsageError) as error:
        return 0, plan.requests or 0, str(error).splitlines()[0]
    return report.tally.done, report.tally.failed + report.tally.in_flight, report.evidence.first_error
