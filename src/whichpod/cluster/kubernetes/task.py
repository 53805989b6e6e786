"""What a client in a Job is told: its task, and how to get along with a sidecar that is no native one."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from whichpod.load.call import Call, Identify
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target

TASK = "WHICHPOD_TASK"
"""Variable: the task as JSON."""
READY, QUIT = "WHICHPOD_SIDECAR_READY", "WHICHPOD_SIDECAR_QUIT"
"""Variables: where a sidecar says that it is ready, and where it is told to end. Several addresses, with
spaces between them, are tried in turn; none: there is nothing to wait for, or to end."""
READY_AT = "http://127.0.0.1:15021/healthz/ready http://127.0.0.1:15020/healthz/ready"
QUIT_AT = "http://127.0.0.1:15020/quitquitquit http://127.0.0.1:15021/quitquitquit"
"""The ports of Envoy's and the agent's own listener (istio.io, Ports used by Istio)."""
INDEX = "JOB_COMPLETION_INDEX"
"""Variable of an indexed Job's pods: their number, from 0 (kubernetes.io, Jobs)."""
POD, NODE = "POD_NAME", "NODE_NAME"
"""Variables: the names of the client's own pod and of its node."""
MOST_TEXT = 120_000
"""Bytes. Linux takes 128 KiB for a variable with its name (MAX_ARG_STRLEN of execve(2))."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one client does."""

    do: Literal["probe", "bench"]
    target: Target
    plan: Plan
    call: Call | None = None
    """Bench only: what is called; None: the echo service."""
    limit_s: float = 0.0
    """After this time it ends and reports what there is, as it does when told to; 0: only when told to."""
    progress_s: float = 0.0
    """How often it says how far it is; 0: never."""
    ready_s: float = 60.0
    """How long a sidecar may take to get ready."""
    gate: int = 0
    """Port at which it waits, once it is ready, until it is told to begin (`gate`); 0: it begins at once."""
    workers: int = 1
    """Clients that share the plan, each with its part of the RPCs, and of the rate."""

    def part(self, index: int) -> Task:
        """What the client of that number does, from 0 on. Together they do all of the plan."""
        plan = self.plan
        if self.workers > 1:
            rate = plan.rate / self.workers if plan.rate else plan.rate
            requests = plan.requests
            if requests is not None:
                requests = requests // self.workers + (index < requests % self.workers)
            plan = replace(plan, rate=rate, requests=requests)
        # Workers with the same seed would all send at the same times.
        seed = plan.seed + index if plan.seed else 0
        return replace(self, plan=replace(plan, seed=seed), workers=1)

    def env(self) -> dict[str, str]:
        """As a container's environment. Raises UsageError where that is more than a variable holds."""
        text = json.dumps(to_json(self), separators=(",", ":"))
        if len(text) > MOST_TEXT:
            raise UsageError(
                f"The client's task takes {len(text):,} bytes, more than a variable of a container holds.",
                fix=f"Send less data: everything together may take {MOST_TEXT:,} bytes.",
            )
        return {TASK: text}

    @classmethod
    def of_env(cls, environment: Mapping[str, str]) -> Task:
        """What `env` made. Raises UsageError where there is none, or it can't be read."""
        text = environment.get(TASK)
        if text is None:
            raise UsageError(f"There is no {TASK} in the environment.", fix="Only a Job's pod has one.")
        try:
            return cls.from_json(json.loads(text))
        except ValueError as e:
            raise UsageError(
                f"{TASK} can't be read: {e}.", fix="Is the image of the same version as whichpod here?"
            ) from None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        call = None
        if self.call:
            call = _SaidCall(self.call.path, b64encode(self.call.message).decode(), self.call.identify)
        said = _Said(
            self.do,
            self.target,
            self.plan,
            call,
            self.limit_s,
            self.progress_s,
            self.ready_s,
            self.gate,
            self.workers,
        )
        found: dict[str, Any] = to_json(said)
        return found

    @classmethod
    def from_json(cls, data: object) -> Task:
        """What `to_json` made. Raises ValueError."""
        said = from_json(_Said, data)
        call = None
        if said.call:
            call = Call(said.call.path, b64decode(said.call.message), said.call.identify)
        return cls(
            said.do,
            said.target,
            said.plan,
            call,
            said.limit_s,
            said.progress_s,
            said.ready_s,
            said.gate,
            said.workers,
        )


@dataclass(frozen=True, slots=True)
class _SaidCall:
    path: str
    message: str
    """In base64: JSON has no bytes."""
    identify: Identify


@dataclass(frozen=True, slots=True)
class _Said:
    do: Literal["probe", "bench"]
    target: Target
    plan: Plan
    call: _SaidCall | None
    limit_s: float
    progress_s: float
    ready_s: float
    gate: int
    workers: int = 1
