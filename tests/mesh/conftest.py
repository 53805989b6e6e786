from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from whichpod.manifest.load import load_text
from whichpod.mesh.registry import Endpoint, Registry

ECHO = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 3
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      containers:
      - name: echo
        image: whichpod:latest
        ports: [{name: main, containerPort: 50051}]
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports: [{name: PORT, port: 80, targetPort: main}]
"""
RULE = """---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec:
  host: echo
  trafficPolicy: POLICY
"""

Make = Callable[..., Registry]
Ask = Callable[..., Awaitable[list[str]]]
Statuses = Callable[..., Awaitable[list[str]]]
Backends = Callable[[int], tuple[str, ...]]


def _make(policy: str = "", *, port: str = "grpc", more: str = "") -> Registry:
    text = ECHO.replace("PORT", port) + (RULE.replace("POLICY", policy) if policy else "") + more
    pods = tuple(
        Endpoint(f"echo-{i}", f"127.0.1.{i}", {"app": "echo", "version": f"v{i}"}, {"main": 50051})
        for i in range(1, 4)
    )
    return Registry(load_text(text, "f.yaml"), pods)


@pytest.fixture
def make() -> Make:
    """Makes the registry of three pods behind the Service echo, with a DestinationRule's traffic policy."""
    return _make


@pytest.fixture
def address() -> str:
    """A loopback address of this process alone, so that fixed ports on it can't collide."""
    pid = os.getpid()
    return f"127.{100 + (pid >> 16) % 100}.{(pid >> 8) & 255}.{max(1, pid & 255)}"


class Proxy:
    """A real Envoy. `log` is what it wrote at warning level or above."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "envoy.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, bootstrap: dict[str, Any]) -> None:
        envoy = importlib.import_module("envoy")
        binary = Path(envoy.__path__[0]) / "_bin" / "envoy"
        command = [str(binary), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--config-yaml", json.dumps(bootstrap)], stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Proxy]:
    """An Envoy that isn't started yet, and is gone after the test."""
    proxy = Proxy(tmp_path)
    yield proxy
    proxy.kill()


SERVER = """
import sys, grpc
from concurrent.futures import ThreadPoolExecutor

def serve(address):
    def answer(request, context):
        caller = dict(context.invocation_metadata()).get("x-forwarded-client-cert", "-")
        return f"{address} {context.peer()} {caller}".encode()
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Who": handler}),))
    assert server.add_insecure_port(address + ":50051")
    server.start()
    return server

servers = [serve(a) for a in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def backends(address: str) -> Iterator[Backends]:
    """Starts tiny gRPC servers on port 50051 of loopback addresses of their own, in one other process."""
    started: list[subprocess.Popen[bytes]] = []

    def start(count: int) -> tuple[str, ...]:
        a, b, c, d = address.split(".")
        addresses = tuple(f"{a}.{b}.{c}.{(int(d) + 100 + i) % 254 + 1}" for i in range(count))
        command = [sys.executable, "-c", SERVER, *addresses]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return addresses

    yield start
    for process in started:
        process.kill()
        process.communicate()


CLIENT = """
import sys, grpc
target, count, wait = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True"
with grpc.insecure_channel(target) as channel:
    call = channel.unary_unary("/t.T/Who")
    for _ in range(count):
        print(call(b"", timeout=5, wait_for_ready=wait).decode(), flush=True)
"""


async def _ask(
    target: str, count: int, environ: dict[str, str] | None = None, *, wait: bool = True
) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT,
        target,
        str(count),
        str(wait),
        stdout=-1,
        stderr=-1,
        env=os.environ | (environ or {}),
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


@pytest.fixture
def ask() -> Ask:
    """Calls `target` so many times on one channel of a real client in another process.

    An answer is the server's address, the peer as the server saw it, and what it was told of the caller's
    certificate.
    """
    return _ask


STATUSES = """
import sys, grpc
for target in sys.argv[1:]:
    with grpc.insecure_channel(target) as channel:
        try:
            print(channel.unary_unary("/t.T/Who")(b"", timeout=5).decode(), flush=True)
        except grpc.RpcError as e:
            print(e.code().name, flush=True)
"""


async def _statuses(*targets: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STATUSES, *targets, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


@pytest.fixture
def statuses() -> Statuses:
    """Calls each target once, without waiting for it: what it answers, as `ask`, or the status of failure."""
    return _statuses
