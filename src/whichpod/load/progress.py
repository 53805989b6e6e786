"""How far a load run is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """All workers together."""

    elapsed_s: float = 0.0
    """Since the measuring began; negative while it warms up."""
    done: int = 0
    failed: int = 0
    rps: float = 0.0
    """RPCs done per second, lately."""
    total: int | None = None
    """RPCs planned; None where the duration is."""
    counts: dict[str, int] = field(default_factory=dict)
    """RPCs done per backend label."""
