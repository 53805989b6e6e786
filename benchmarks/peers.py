"""Servers and clients that a benchmark runs against."""

from __future__ import annotations

import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whichpod.load.call import Call, Identify, echo_call
from whichpod.load.progress import LoadProgress
from whichpod.load.run import bench
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target

ANSWER = bytes((0, 0, 0, 0, 32)) + bytes(32)
"""What nghttpd answers: a message of 32 bytes, framed."""
NGHTTPD_PATH = "/echo.grpc"
ECHO_PATH = "/whichpod.echo.v1.EchoService/Echo"
EMPTY_MESSAGE = bytes(5)
CONNECTIONS, STREAMS = 5, 20


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    pid: int
    port: int
    addresses: tuple[str, ...] = ()
    """Of each pod, where it is `whichpod serve`."""


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def nghttpd() -> Iterator[Server]:
    """nghttpd with one thread; a file stands for the answer, so that it neither decodes nor counts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "echo.grpc").write_bytes(ANSWER)
        (folder / "mime").write_text("application/grpc grpc\n")
        port = free_port()
        command = ["nghttpd", "--no-tls", "-n1", "-d", name, f"--mime-types-file={folder / 'mime'}",
                   "--trailer", "grpc-status: 0", str(port)]  # fmt: skip
        with _process(command) as process:
            until_listening(port)
            yield Server(process.pid, port)


@contextmanager
def echo_server(*args: str) -> Iterator[Server]:
    """`whichpod serve` on 127.0.0.1."""
    command = [sys.executable, "-m", "whichpod", "serve", "--host", "127.0.0.1", "--port=0", "--json", *args]
    with _process(command) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        pods = said.get("pods", [said])
        addresses = tuple(pod["listening"] for pod in pods)
        yield Server(process.pid, int(addresses[0].rpartition(":")[2]), addresses)


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def until_listening(port: int, host: str = "127.0.0.1") -> None:
    """Waits until somebody listens."""
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def missing(*tools: str) -> bool:
    """Whether one of the tools isn't there; says so."""
    gone = [tool for tool in tools if shutil.which(tool) is None]
    for tool in gone:
        package = {"h2load": "nghttp2-client", "nghttpd": "nghttp2-server"}.get(tool, tool)
        print(f"  skipped: {tool} is not on PATH (Debian: package {package})")
    return bool(gone)


def engine(
    addresses: Sequence[str],
    plan: Plan,
    *,
    to_nghttpd: bool = False,
    progress: Callable[[LoadProgress], None] | None = None,
) -> Report:
    """A run of the load engine; every RPC must have gone well."""
    call = Call(NGHTTPD_PATH, b"", Identify("peer")) if to_nghttpd else echo_call()
    report = bench(Target(addresses[0]), plan, call, addresses=addresses, progress=progress)
    assert report.tally.statuses.keys() <= {"OK"}, (report.tally.statuses, report.evidence.first_error)
    return report


def engine_us(port: int, requests: int, *, to_nghttpd: bool = False) -> float:
    """CPU us per RPC of the load engine while it measures, histograms and counts per backend included."""
    plan = Plan(requests=requests, connections=CONNECTIONS, concurrency=STREAMS)
    report = engine([f"127.0.0.1:{port}"], plan, to_nghttpd=to_nghttpd)
    return report.saturation.cpu_s / report.tally.done * 1e6


def h2load_us(port: int, requests: int, path: str) -> float:
    """CPU us per request of h2load, one thread, the whole process."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(EMPTY_MESSAGE)
        body.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run(
            ["h2load", f"-n{requests}", f"-c{CONNECTIONS}", f"-m{STREAMS}", "-t1", "-d", body.name,
             "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{port}{path}"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert re.search(rf"{requests} succeeded, 0 failed", said), said
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / requests * 1e6
