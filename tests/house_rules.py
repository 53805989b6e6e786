"""Rules of the house that no linter has: run by `make check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_LINES = 400


def faults(files: list[Path]) -> list[str]:
    """A line per breach among `files`."""
    found = []
    for file in files:
        if not file.exists() or file.name.endswith(("_pb2.py", "_pb2.pyi")):
            continue
        lines = file.read_text().count("\n")
        if lines > MOST_LINES:
            found.append(f"{file.relative_to(ROOT)}: {lines} lines; past {MOST_LINES} it is two things")
    return found


def main() -> int:
    """Checks every Python file that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = faults([ROOT / name for name in listed])
    print("\n".join(found) or f"House rules kept in {len(listed)} files.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
