"""What the API server says when it refuses (kubernetes.io, API Concepts; the messages are its own)."""

from __future__ import annotations

from typing import Any


class RefusedError(Exception):
    """A request ends with a Status of Failure."""

    def __init__(
        self, code: int, reason: str, message: str, *, retry_after: int | None = None, **details: Any
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.details = details

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        details = dict(self.details)
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details:
            found["details"] = details
        return found


def not_found(plural: str, name: str, group: str = "") -> RefusedError:
    what = f"{plural}.{group}" if group else plural
    return RefusedError(404, "NotFound", f'{what} "{name}" not found', name=name, kind=plural)


def expired() -> RefusedError:
    return RefusedError(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new "
        "list without the continue parameter.",
    )


def too_old() -> RefusedError:
    return RefusedError(410, "Expired", "too old resource version")
