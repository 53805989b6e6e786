"""Labs that can't come up, or break: each says what, why and what was written last; nothing stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import eventually, with_marker
from tests.cluster.manifests import bundle, config_map, deployment, service
from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.mesh.resources import Resources
from whichpod.model.errors import LabError, ManifestError, WhichpodError
from whichpod.model.plan import Plan

POD = Client(deployment="echo", via=Via.POD)


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labs keep their folders in a place that the test can look at; the path marks their processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def assert_nothing_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert with_marker(str(folder)) == []


async def enter(
    what: Bundle,
    client: Client,
    body: Callable[[LocalLab], Awaitable[object]] | None = None,
    timeout_s: float = 20,
) -> None:
    async with LoopbackCluster().lab(what, client=client, ready_timeout_s=timeout_s) as lab:
        if body:
            await body(lab)


def refused(what: Bundle, client: Client = POD, *, timeout_s: float = 20) -> WhichpodError:
    with pytest.raises((LabError, ManifestError)) as error:
        asyncio.run(enter(what, client, timeout_s=timeout_s))
    return error.value


def test_a_pod_that_never_gets_ready(tmp_path: Path) -> None:
    what = bundle(deployment(replicas=2, probe="readinessProbe: {grpc: {port: 50059}}"))
    error = refused(what, timeout_s=2.5)
    assert "The pod echo-" in error.message
    assert "not ready within 2.5 s" in error.message
    assert "the gRPC health check on port 50059: Connect call failed" in error.message.replace("\n", " ")
    assert "listening on 127." in error.message, "its last lines"
    assert_nothing_left(tmp_path)


def test_a_pod_that_ends_at_once_is_told_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    error = refused(bundle(deployment(args="[serve, --no-such-option]")), timeout_s=60)
    assert time.monotonic() - began < 50
    assert "exited with status 2 before it was ready" in error.message
    assert "--no-such-option" in error.message
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (deployment(image="redis:7"), r"test.yaml:\d+: the container echo has the image 'redis:7'"),
        (deployment(args="[probe, x]"), r"test.yaml:\d+: the container echo runs 'probe'"),
        (deployment(image="nginx", args="[sh, -c, x]"), r"the container echo runs 'sh'"),
        (deployment(image="nginx", args="[]", sidecar=True), r"test.yaml:\d+: .*\(nginx\).* sidecar"),
    ],
)
def test_what_a_loopback_lab_can_not_run(document: str, said: str, tmp_path: Path) -> None:
    what = bundle(document)
    assert LoopbackCluster().missing(what, POD) is None, "nothing that could be installed"
    with pytest.raises(WhichpodError, match=said):
        asyncio.run(enter(what, POD))
    assert_nothing_left(tmp_path)


def test_a_config_map_without_the_key_that_is_mounted(tmp_path: Path) -> None:
    mount = "volumeMounts: [{name: v, mountPath: /etc/nginx/templates}]"
    volumes = "volumes: [{name: v, configMap: {name: m, items: [{key: nope, path: x}]}}]"
    what = bundle(
        deployment(image="nginx", args="[]", more=mount, volumes=volumes), config_map("m", "key", "text")
    )
    error = refused(what)
    assert "The ConfigMap m has no key 'nope'" in error.message
    assert_nothing_left(tmp_path)


def test_a_proxy_that_refuses_its_configuration_is_quoted(tmp_path: Path) -> None:
    mount = "volumeMounts: [{name: v, mountPath: /etc/nginx/conf.d}]"
    volumes = "volumes: [{name: v, configMap: {name: bad}}]"
    what = bundle(
        deployment(image="nginx", args="[]", more=mount, volumes=volumes),
        config_map("bad", "x.conf", "server {\n  no_such_directive on;\n}"),
    )
    error = refused(what)
    assert "exited with status 1" in error.message
    assert 'unknown directive "no_such_directive"' in error.message
    assert_nothing_left(tmp_path)


def test_an_envoy_that_refuses_its_bootstrap_is_quoted(tmp_path: Path) -> None:
    args = "[--config-yaml, 'static_resources: {no_such_field: 1}']"
    error = refused(bundle(deployment(image="envoyproxy/envoy:v1.36", args=args, replicas=1)))
    assert "no_such_field" in error.message
    assert_nothing_left(tmp_path)


def test_a_sidecar_that_refuses_what_the_control_plane_sends_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = {"name": "bad", "connect_timeout": "1s", "type": "STATIC", "lb_policy": "CLUSTER_PROVIDED"}
    monkeypatch.setattr(
        "whichpod.cluster.loopback.fabric.kube_proxy", lambda *_: Resources(clusters={"bad": bad})
    )
    error = refused(bundle(deployment(replicas=1), service()), Client("echo"))
    assert "kube-proxy refused its Cluster configuration" in error.message
    assert "cluster provided LB specified" in error.message
    assert_nothing_left(tmp_path)


def test_a_proxy_that_dies_while_the_client_runs(tmp_path: Path) -> None:
    async def body(lab: LocalLab) -> None:
        begun = asyncio.Event()
        plan = Plan(requests=None, duration_s=1.5, deadline_s=1)
        probe = lab.probe(Client("echo"), plan, progress=lambda _: begun.set())
        task = asyncio.create_task(probe)
        await asyncio.wait_for(begun.wait(), 20)
        for process, _ in lab._fabric.proxies:
            process.signal(signal.SIGKILL)
        with pytest.raises(LabError, match="kube-proxy was killed by SIGKILL while the client ran"):
            await task

    asyncio.run(enter(bundle(deployment(replicas=1), service()), Client("echo"), body))
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("while_probing", [False, True])
def test_the_end_of_the_zygote_is_noticed(while_probing: bool, tmp_path: Path) -> None:
    async def body(lab: LocalLab) -> None:
        plan, begun = Plan(requests=None, duration_s=60), asyncio.Event()
        if not while_probing:
            os.kill(lab._supervisor.pid, signal.SIGKILL)
        task = asyncio.create_task(lab.probe(POD, plan, progress=lambda _: begun.set()))
        if while_probing:
            await asyncio.wait_for(begun.wait(), 20)
            os.kill(lab._supervisor.pid, signal.SIGKILL)
        with pytest.raises(LabError, match="ended with SIGKILL"):
            await task

    asyncio.run(enter(bundle(deployment(replicas=2)), POD, body))
    asyncio.run(eventually(lambda: not with_marker(str(tmp_path)), "the end of all processes"))
    assert_nothing_left(tmp_path)


def test_success_and_an_error_of_the_caller_leave_nothing(tmp_path: Path) -> None:
    what = bundle(deployment(replicas=2, sidecar=True), service())

    async def fails(lab: LocalLab) -> None:
        assert with_marker(str(tmp_path)), "the marker is what processes are found by"
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(enter(what, Client("echo", meshed=True), fails))
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("pause_s", [0.0, 0.1, 0.25, 0.4])
def test_being_cancelled_at_any_time_leaves_nothing(pause_s: float, tmp_path: Path) -> None:
    async def run() -> None:
        what = bundle(deployment(replicas=3, sidecar=True), service())
        task = asyncio.create_task(enter(what, Client("echo", meshed=True), lambda _: asyncio.sleep(60)))
        await asyncio.sleep(pause_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert_nothing_left(tmp_path)


RUN = """
import asyncio
from tests.cluster.manifests import bundle, deployment, service
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client
from whichpod.model.plan import Plan
async def main():
    client = Client("echo", meshed=True)
    async with LoopbackCluster().lab(bundle(deployment(sidecar=True), service()), client=client) as lab:
        plan = Plan(requests=None, duration_s=60)
        print(lab._supervisor.pid, flush=True)
        report = await lab.probe(client, plan, progress=lambda _: print("going", flush=True))
        print(report.end_reason, flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("number", "zygote"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGKILL, False), (signal.SIGKILL, True)],
)
def test_signals_to_a_run_leave_nothing(number: int, zygote: bool, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    )
    with run:
        assert run.stdout
        pid = int(run.stdout.readline())
        assert run.stdout.readline() == "going\n"
        assert len(with_marker(str(tmp_path))) > 5
        os.kill(pid if zygote else run.pid, number)
        said = run.stdout.read()
    if number == signal.SIGINT:
        assert said.endswith("interrupted\n"), "the report of what was measured so far is kept"

    async def gone() -> None:
        await eventually(lambda: not with_marker(str(tmp_path)), "the end of all processes")
        await eventually(lambda: not list(tmp_path.iterdir()), "the end of the folder")

    asyncio.run(gone())
