"""Certificates for tests, made by the system's openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not on PATH (Debian: package openssl)"
)


@dataclass(frozen=True)
class Pair:
    cert: str
    key: str


def authority(folder: Path, name: str = "ca") -> Pair:
    """A certificate authority."""
    pair = Pair(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    _run("req", "-x509", *_new(pair), "-subj", f"/CN={name}", "-days", "2")
    return pair


def issued(folder: Path, ca: Pair, name: str) -> Pair:
    """A certificate for localhost and 127.0.0.1 from that authority."""
    pair, request, extra = (
        Pair(str(folder / f"{name}.pem"), str(folder / f"{name}.key")),
        *(str(folder / f"{name}.{end}") for end in ("csr", "ext")),
    )
    _run("req", *_new(pair, out=request), "-subj", f"/CN={name}")
    Path(extra).write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _run("x509", "-req", "-in", request, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial",
         "-days", "2", "-extfile", extra, "-out", pair.cert)  # fmt: skip
    return pair


def _new(pair: Pair, out: str = "") -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    return [*curve, "-nodes", "-keyout", pair.key, "-out", out or pair.cert]


def _run(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)
