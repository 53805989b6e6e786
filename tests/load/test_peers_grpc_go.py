"""The load engine against grpc-go."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.load.peers.disturbed import disturbed
from tests.load.runs import by_pod, run
from whichpod.load.call import Call, Identify, echo_call
from whichpod.model.errors import TargetError
from whichpod.model.target import Tls

pytestmark = pytest.mark.usefixtures("forking")

GO_SOURCE = Path(__file__).parent / "peers" / "grpcgo"
DEBIAN_GO = Path("/usr/share/gocode")
"""Where Debian's golang-google-grpc-dev puts its sources."""


pytestmark = pytest.mark.timeout(600)
"""The first build compiles all of grpc-go: minutes on a busy machine."""


@pytest.fixture(scope="session")
def grpc_go(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """The echo server on grpc-go, built once; what it is made of is kept for later runs of the tests."""
    go = shutil.which("go")
    if go is None or not (DEBIAN_GO / "src" / "google.golang.org" / "grpc").is_dir():
        pytest.skip("grpc-go can't be built (Debian: golang-go and golang-google-grpc-dev)")
    folder = tmp_path_factory.mktemp("grpcgo")
    assert pytestconfig.cache is not None
    cache = str(pytestconfig.cache.mkdir("go-build"))
    env = {"GO111MODULE": "off", "GOPATH": str(DEBIAN_GO), "GOCACHE": cache, "GOFLAGS": ""}
    subprocess.run(
        [go, "build", "-o", folder / "server", "."], cwd=GO_SOURCE, env=os.environ | env, check=True
    )
    return folder / "server"


@contextmanager
def going(server: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen([server, *args], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = re.search(r":(\d+)$", process.stdout.readline().strip())
        assert said
        yield process, int(said[1])
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_grpc_go(grpc_go: Path) -> None:
    with going(grpc_go, "-pod", "go-0") as (_, one), going(grpc_go, "-pod", "go-1") as (_, two):
        report = run(one, two, requests=2_001, connections=2, concurrency=10, workers=2)
        assert sorted(by_pod(report).values()) == [1_000, 1_001]
        assert set(by_pod(report)) == {"go-0", "go-1"}
        assert report.tally.statuses == {"OK": 2_001}
        rated = run(one, two, rate=1_000, duration_s=0.3)
        assert rated.tally.statuses == {"OK": 300}


def test_grpc_go_takes_and_gives_large_messages(grpc_go: Path) -> None:
    with going(grpc_go) as (_, port):
        report = run(port, requests=40, connections=2, concurrency=10, call=echo_call(bytes(300_000)))
    assert report.tally.statuses == {"OK": 40}


def test_grpc_go_with_few_streams_and_connections_that_age(grpc_go: Path) -> None:
    with going(grpc_go, "-max-streams", "3", "-max-age", "100ms") as (_, port):
        report = run(port, requests=None, duration_s=0.8, connections=2, concurrency=20)
    assert set(report.tally.statuses) == {"OK"}
    assert report.evidence.connections_opened > 2


def test_grpc_go_refuses(grpc_go: Path) -> None:
    with going(grpc_go) as (_, port):
        unknown = run(
            port, requests=5, call=Call("/whichpod.echo.v1.EchoService/None", b"", Identify("peer"))
        )
        assert unknown.tally.statuses == {"UNIMPLEMENTED": 5}
        told = run(port, requests=5, metadata=(("x-fail", "no room"),))
        assert told.tally.statuses == {"RESOURCE_EXHAUSTED": 5}
        assert told.evidence.first_error == "RESOURCE_EXHAUSTED: no room"
    with going(grpc_go, "-delay", "5s") as (_, port):
        late = run(port, requests=5, concurrency=5, deadline_s=0.2)
        assert late.tally.statuses == {"DEADLINE_EXCEEDED": 5}


def test_grpc_go_dies(grpc_go: Path) -> None:
    with going(grpc_go, "-delay", "50ms") as (process, port):
        report = disturbed(
            f"127.0.0.1:{port}", by=process.kill, requests=None, duration_s=60, concurrency=4, deadline_s=0.5
        )
    assert report.tally.done > 0
    assert report.tally.failed > 0
    assert set(report.tally.statuses) <= {"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED"}


@needs_openssl
def test_grpc_go_over_tls(grpc_go: Path, tmp_path: Path) -> None:
    ca = authority(tmp_path)
    pair = issued(tmp_path, ca, "server")
    with going(grpc_go, "-cert", pair.cert, "-key", pair.key) as (_, port):
        report = run(port, requests=300, concurrency=10, tls=Tls(ca.cert, server_name="localhost"))
        assert report.tally.statuses == {"OK": 300}
        with pytest.raises(TargetError):
            run(port, requests=1)
