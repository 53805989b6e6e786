"""Whether a namespace lab can run on this machine, and what it takes where it can't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

from whichpod.cluster.netns.tools import ProxyMode, find
from whichpod.model.errors import UsageError

_CHECK_S = 30.0


@cache
def missing_of_machine(mode: ProxyMode) -> str | None:
    """Why no namespace lab can run here, with the way to get what is missing; None where one can.

    The kernel is asked by trying it out, once.
    """
    if sys.platform != "linux":
        return "A namespace lab needs Linux."
    try:
        find(mode)
    except UsageError as e:
        return str(e)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "whichpod.cluster.netns.check", str(mode)],
            capture_output=True,
            text=True,
            timeout=_CHECK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        return f"The kernel can't be asked about namespaces: {e}."
    try:
        said = json.loads(done.stdout)
    except ValueError:
        said = f"The kernel can't be asked about namespaces: {done.stderr.strip().splitlines()[-1:]}."
    instead = "Use --cluster loopback." if os.geteuid() == 0 else "Run it as root, or use --cluster loopback."
    return f"{said} {instead}" if said else None
