"""What keeps pods from coming, as clusters say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "image", "unschedulable", "quota", "webhook", "crash", "evict", "oom", "no-sidecar", "never-ready"
]
Match = Callable[[dict[str, Any]], bool]

REFUSALS = {
    "quota": 'pods "{name}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2',
    "webhook": 'admission webhook "tags.example.com" denied the request: the image needs a digest',
}
"""Of creating a pod, by what refuses it."""
PULL_ERROR = (
    'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to resolve reference: not found'
)
"""Of a kubelet's event."""
LAST_WORDS = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'whichpod'\n"
"""Of a container that keeps ending."""


@dataclass(slots=True)
class Troubles:
    """The first that matches a pod holds."""

    _known: list[tuple[Match, Kind]] = field(default_factory=list)

    def add(self, match: Match, what: Kind) -> None:
        self._known.append((match, what))

    def of(self, pod: dict[str, Any]) -> str:
        return next((what for match, what in self._known if match(pod)), "")


def waiting(pod: dict[str, Any], reason: str, message: str) -> dict[str, Any]:
    """A pod's status whose containers wait."""
    return {
        "phase": "Pending",
        "containerStatuses": [
            {
                "name": c["name"],
                "image": c.get("image", ""),
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": message}},
            }
            for c in pod["spec"]["containers"]
        ],
    }


def status_of(pod: dict[str, Any], what: str) -> dict[str, Any] | None:
    """The status of a pod that this keeps from running; None where it runs at first."""
    image = pod["spec"]["containers"][0].get("image", "")
    if what == "image":
        return waiting(pod, "ImagePullBackOff", f'Back-off pulling image "{image}"')
    if what == "unschedulable":
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
        }
        return {"phase": "Pending", "conditions": [condition]}
    if what == "crash":
        found = waiting(pod, "CrashLoopBackOff", "back-off 10s restarting failed container")
        for container in found["containerStatuses"]:
            container["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
        return found | {"phase": "Running"}
    return None
