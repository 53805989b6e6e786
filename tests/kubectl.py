"""The real kubectl: of the wheel beside the interpreter, else on PATH."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

_OURS = Path(sys.executable).with_name("kubectl")
KUBECTL = str(_OURS) if _OURS.exists() else shutil.which("kubectl")
