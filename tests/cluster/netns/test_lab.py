"""Labs in namespaces: what a plain, unmodified client sees there, with sidecars and without."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.conftest import eventually, with_marker
from tests.cluster.manifests import ROUND_ROBIN, bundle, deployment, service
from tests.cluster.netns.conftest import skip_where_missing, without_privileges
from tests.cluster.test_lab import Running, counts
from whichpod.cluster.netns.cluster import NetnsCluster
from whichpod.cluster.netns.tools import ProxyMode
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.model.errors import TargetError
from whichpod.model.plan import Plan

PODS = ("echo-0", "echo-1", "echo-2")
EVENLY = Plan(requests=30, policy="round_robin", warmup=1)


@contextmanager
def running(what: Bundle, client: Client, mode: ProxyMode = ProxyMode.IPTABLES) -> Iterator[Running]:
    skip_where_missing(mode)
    with asyncio.Runner() as runner:
        context = NetnsCluster(mode).lab(what, client=client)
        lab = runner.run(context.__aenter__())
        try:
            yield Running(runner, lab)
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def meshed() -> Iterator[Running]:
    """Pods with sidecars behind a normal and a headless Service, and a Service of another namespace."""
    elsewhere = service("elsewhere").replace("elsewhere}", "elsewhere, namespace: shop}")
    what = bundle(
        deployment(sidecar=True),
        service(),
        service("direct", headless=True),
        ROUND_ROBIN,
        deployment(name="shop", replicas=1).replace("{name: shop}", "{name: shop, namespace: shop}"),
        elsewhere.replace("app: echo", "app: shop"),
    )
    with running(what, Client("echo", meshed=True)) as lab:
        yield lab


def test_a_sidecar_that_intercepts_balances_an_unmodified_client(meshed: Running) -> None:
    report = meshed.probe(Client("echo", meshed=True))

    assert report.target.address == "echo:50051"
    assert counts(report) == [10, 10, 10]
    # The sidecar passes on what it has balanced from an address of the pod's localhost.
    assert set(report.evidence.server_saw_peers) == {"127.0.0.6"}
    # The client has one connection, to the ClusterIP, as far as it knows.
    assert report.evidence.remote_peers == ("10.96.1.1:50051",)


def test_sidecars_speak_mutual_tls(meshed: Running) -> None:
    async def handshakes() -> int:
        said = await asyncio.gather(*(meshed.lab.sidecar(p, "/stats?filter=ssl.handshake") for p in PODS))
        return sum(int(n) for text in said for n in re.findall(r"ssl.handshake: (\d+)", text.decode()))

    meshed.probe(Client("echo", meshed=True))

    assert meshed.runner.run(handshakes()) >= len(PODS)


def test_a_client_without_a_sidecar_is_balanced_by_the_kernel(meshed: Running) -> None:
    report = meshed.probe(Client("echo"))

    assert counts(report) == [30]
    assert report.evidence.remote_peers == ("10.96.1.1:50051",)


def test_a_headless_name_has_all_pods_for_round_robin(meshed: Running) -> None:
    report = meshed.probe(Client("direct"), EVENLY)

    assert report.target.address == "direct:50051"
    assert counts(report) == [10, 10, 10]


def test_names_of_other_namespaces_are_found_by_search(meshed: Running) -> None:
    report = meshed.probe(Client("shop/elsewhere"))

    assert report.target.address == "elsewhere.shop:50051"
    assert counts(report) == [30]


def test_port_forward_dials_localhost_in_the_pod_past_its_sidecar(meshed: Running) -> None:
    report = meshed.probe(Client("echo", via=Via.PORT_FORWARD))

    assert counts(report) == [30]
    assert set(report.evidence.server_saw_peers) == {"127.0.0.1"}


def test_proxyless_clients_reach_the_control_plane_from_their_namespace(meshed: Running) -> None:
    """To pods with sidecars, which take plain text too: PERMISSIVE."""
    assert counts(meshed.probe(Client("echo", via=Via.XDS), Plan(requests=30, warmup=1))) == [10, 10, 10]


def test_the_report_says_where_it_was_and_what_is_real(meshed: Running) -> None:
    said = meshed.lab.environment()

    assert (said["cluster"], said["proxy-mode"]) == ("netns", "iptables")
    assert "every pod, and the client, has a network namespace of its own" in said["real"]
    assert "sidecars get all connections by istio-init's rules" in said["real"]
    assert "whichpod answers DNS" in said["stand-ins"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", said["envoy"])


def test_the_machines_own_network_is_not_touched(meshed: Running) -> None:
    """While the lab runs, nothing of it is here: no device, no route, no rule, no name server."""
    assert meshed.lab.pods
    here = Path("/proc/self/net/dev").read_text() + Path("/proc/self/net/route").read_text()
    assert "veth" not in here
    assert "10.96.0.10" not in Path("/etc/resolv.conf").read_text()
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    assert "KUBE" not in saved
    assert "ISTIO" not in saved


def test_pods_that_end_are_left_out_by_rules_and_names() -> None:
    what = bundle(deployment(), service(), service("direct", headless=True))
    with running(what, Client("echo"), ProxyMode.NFTABLES) as found:
        lab, runner = found.lab, found.runner

        async def only_one() -> None:
            for pod in PODS[:2]:
                await lab.kill(pod, signal.SIGKILL)
            await eventually(lambda: sum(p.ready for p in lab.pods) == 1, "two pods that are not ready")
            await lab.settled()

        runner.run(only_one())
        assert counts(found.probe(Client("echo"), Plan(requests=30, connections=10))) == [30]
        assert counts(found.probe(Client("direct"), EVENLY)) == [30]

        runner.run(lab.dns(up=False))
        with pytest.raises(TargetError):
            found.probe(Client("echo"), Plan(requests=1))
        runner.run(lab.dns(up=True))
        assert counts(found.probe(Client("echo"))) == [30]


def test_an_ordinary_user_has_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_where_missing()
    without_privileges(tmp_path, monkeypatch)

    done = subprocess.run(
        [sys.executable, "-m", "whichpod", "matrix", "--cluster", "netns", "--only", "istio", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["environment"]["privileges"] == "a user namespace"
    assert [row["outcome"] for row in said["rows"]] == ["passed"]


RUN = """
import asyncio
from tests.cluster.manifests import bundle, deployment, service
from whichpod.cluster.netns import NetnsCluster
from whichpod.cluster.protocol import Client
from whichpod.model.plan import Plan
async def main():
    client = Client("echo", meshed=True)
    async with NetnsCluster().lab(bundle(deployment(sidecar=True), service()), client=client) as lab:
        plan = Plan(requests=None, duration_s=60)
        await lab.probe(client, plan, progress=lambda _: print("going", flush=True))
asyncio.run(main())
"""


def test_a_run_that_is_killed_leaves_neither_processes_nor_namespaces(tmp_path: Path) -> None:
    skip_where_missing()
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)}
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=env)
    with run:
        assert run.stdout
        assert run.stdout.readline() == "going\n"
        with contextlib.ExitStack() as held:
            namespaces = {network(pid, held) for pid in with_marker(str(tmp_path))}
            namespaces.discard(os.stat("/proc/self/ns/net").st_ino)
            assert len(namespaces) > 4, "the node, three pods and the client"
            run.send_signal(signal.SIGKILL)
            run.stdout.read()
            asyncio.run(gone(tmp_path, namespaces))


async def gone(folder: Path, namespaces: set[int]) -> None:
    await eventually(lambda: not with_marker(str(folder)), "the processes' end")
    await eventually(lambda: not any(folder.iterdir()), "the folder's end")
    # Namespaces have no names, so they end with the last process in them. One that ends loses its
    # environment, and with it the marker, a moment before its namespaces.
    await eventually(lambda: not namespaces & networks(), "the namespaces' end")


def network(pid: int, held: contextlib.ExitStack) -> int:
    """The number of a process's network namespace: while it is held open, no other gets it."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    held.callback(os.close, namespace)
    return os.fstat(namespace).st_ino


def networks() -> set[int]:
    """The network namespaces that some process is in."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.add(os.stat(entry / "ns/net").st_ino)
    return found
