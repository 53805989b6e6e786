"""What a run ran on, for its report."""

from __future__ import annotations

import os
import platform
import sys

from whichpod.version import __version__


def environment() -> dict[str, str]:
    """Versions and the machine. Names no host and no path."""
    return {
        "whichpod": __version__,
        "python": platform.python_version(),
        "engine": "wire",
        "platform": f"{sys.platform} {platform.release()}",
        "machine": platform.machine(),
        "cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
    }
