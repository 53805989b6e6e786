"""What a worker is told and what it says, as JSON lines: the job, `go` and `stop` in; `ready`, `progress`
and `result` out."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

from whichpod.load.call import Call, Identify
from whichpod.load.engine import Share
from whichpod.model.codec import from_json, to_json
from whichpod.model.plan import Plan
from whichpod.model.report import WorkerLoad
from whichpod.model.tally import Tally
from whichpod.model.target import Tls


@dataclass(frozen=True, slots=True)
class Job:
    """A worker's part of a run."""

    plan: Plan
    call: Call
    share: Share
    authority: str
    tls: Tls | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "plan": to_json(self.plan),
            "path": self.call.path,
            "message": b64encode(self.call.message).decode(),
            "identify": to_json(self.call.identify),
            "share": to_json(self.share),
            "authority": self.authority,
            "tls": to_json(self.tls),
        }

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Job:
        """What `to_json` made."""
        call = Call(data["path"], b64decode(data["message"]), from_json(Identify, data["identify"]))
        tls = from_json(Tls, data["tls"]) if data["tls"] else None
        return cls(
            from_json(Plan, data["plan"]), call, from_json(Share, data["share"]), data["authority"], tls
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """How its connections stand before anything is sent."""

    open: int = 0
    errors: dict[str, str] | None = None
    """Why those to an address failed, by address."""


@dataclass(slots=True)
class Result:
    """What a worker counted."""

    tally: Tally
    load: WorkerLoad
    began_ns: int
    ended_ns: int
    """Monotonic."""
    opened: int = 0
    """TCP connections that came up."""
    first_error: str = ""
    errors: dict[str, str] | None = None
    """Why connections failed last, by address."""
    interrupted: bool = False
    lost: bool = False
    """Every connection was down for too long."""
