"""What happened to a lab while it ran."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabEvent:
    """Something that happened to a pod, or was done to the lab."""

    at_ns: int
    """By the monotonic clock, which all processes of a machine share."""
    kind: str
    """`created`, `ready`, `unready`, `died`, `restarted`, `ending`, `gone`, or what was done: `scale`."""
    what: str
    """The pod, the Deployment, the part."""
    detail: str = ""

    @classmethod
    def now(cls, kind: str, what: str, detail: str = "") -> LabEvent:
        """An event of this moment."""
        return cls(time.monotonic_ns(), kind, what, detail)
