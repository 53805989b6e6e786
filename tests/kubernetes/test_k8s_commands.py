"""`whichpod k8s ...` and `whichpod matrix --cluster kubernetes`, as a user calls them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.gateway_api import of_gateway_api, validate_gateway_api
from tests.kubernetes.istio import of_istio, validate_istio
from tests.kubernetes.manifests import validate
from tests.kubernetes.standin import ApiServer
from tests.kubernetes.standin.fixture import IMAGE, StandIn, cluster
from whichpod.cli.k8s import COMMANDS
from whichpod.cli.k8s.test import SETS
from whichpod.cli.main import run
from whichpod.cluster.kubernetes.result import report_lines
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.tally import Tally
from whichpod.model.target import Target


@pytest.fixture
def here(tmp_path: Path) -> Iterator[StandIn]:
    with cluster(tmp_path) as found:
        yield found
        assert found.kubelet.processes == []


@dataclass(frozen=True, slots=True)
class Command:
    """whichpod, in a cluster."""

    here: StandIn
    shown: pytest.CaptureFixture[str]

    def __call__(self, *args: str, image: bool = True, code: int = 0) -> str:
        said = [*args, "--kubeconfig", str(self.here.kubeconfig)] + (["--image", IMAGE] if image else [])
        found = run(said)
        shown = self.shown.readouterr()
        assert found == code, (found, shown)
        return shown.out


@pytest.fixture
def whichpod(here: StandIn, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(here, capsys)


def namespaces(here: StandIn) -> set[str]:
    return {d["metadata"]["name"] for d in here.server.store.objects("Namespace")}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["k8s", command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown
    assert f"whichpod k8s {command}" in shown


def test_the_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["k8s", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in COMMANDS)
    assert run(["k8s"]) == 2
    assert run(["k8s", "docter"]) == 2
    assert "Did you mean 'doctor'?" in capsys.readouterr().err


def test_the_matrix_in_the_cluster(here: StandIn, whichpod: Command, tmp_path: Path) -> None:
    before = namespaces(here)
    rows = ["--only", "clusterip", "--only", "headless-round-robin", "--only", "istio-port-forward"]
    folder = tmp_path / "reports"
    shown = whichpod("matrix", "--cluster", "kubernetes", "--engine", "fast", *rows, "--report", str(folder))
    assert "3 configurations" in shown
    assert "3 as expected" in shown
    data = json.loads((folder / "matrix.json").read_text())
    assert data["environment"]["cluster"] == "kubernetes"
    assert (folder / "matrix.xml").exists()
    assert namespaces(here) == before


def test_ctrl_c_cleans_up_and_shows_what_there_is(here: StandIn) -> None:
    before = namespaces(here)
    process = subprocess.Popen(
        [sys.executable, "-m", "whichpod", "matrix", "--cluster", "kubernetes", "--engine", "fast",
         "--only", "clusterip*", "--kubeconfig", str(here.kubeconfig), "--image", IMAGE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    second = threading.Event()

    def watch(what: str, document: dict[str, Any]) -> None:
        if document["kind"] == "Job" and document["metadata"]["namespace"].endswith("-2"):
            second.set()

    stop = here.server.store.subscribe(watch)
    assert second.wait(40)
    process.terminate()
    out, err = process.communicate(timeout=60)
    stop()
    assert process.returncode == 130, (out, err)
    assert "clusterip " in out
    assert "interrupted" in out
    assert namespaces(here) == before


def test_options_of_another_cluster_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["matrix", "--context", "prod"]) == 2
    assert "--context means nothing with --cluster loopback" in capsys.readouterr().err
    assert run(["matrix", "--cluster", "mars"]) == 2
    # Asked for by name, a row that no lab has is skipped, and then nothing was shown.
    assert run(["matrix", "--only", "gateway-grpcroute"]) == 3
    assert "It runs in a cluster of yours only" in " ".join(capsys.readouterr().out.split())
    wrong = ["--pull-policy", "Sometimes", "--kubeconfig", __file__]
    assert run(["matrix", "--cluster", "kubernetes", *wrong]) == 2


def test_the_guides_tests(whichpod: Command) -> None:
    """All three, where no option says which."""
    data = json.loads(whichpod("k8s", "test", "--pods", "2", "--json"))
    outcomes = {row["name"]: (row["outcome"], row["reason"]) for row in data["rows"]}
    assert outcomes == dict.fromkeys((row for rows in SETS.values() for row in rows), ("passed", ""))


def test_up_probe_check_bench_and_down(here: StandIn, whichpod: Command) -> None:
    """A set-up that stays, looked at in every way, and removed."""
    before = namespaces(here)
    made = json.loads(whichpod("k8s", "up", "headless-round-robin", "--pods", "3", "--json"))
    namespace = made["namespace"]
    assert len(made["pods"]) == 3
    service = ["echo-headless", "-n", namespace]
    shown = whichpod(
        "k8s",
        "probe",
        *service,
        "--mesh",
        "outside",
        "--policy",
        "round_robin",
        "--warmup",
        "1",
        "--expect",
        "even",
    )
    assert "expected even: passed" in shown
    # The default policy keeps to one pod: an expectation that isn't met.
    whichpod("k8s", "probe", *service, "--mesh", "outside", "--expect", "even", code=1)
    both = json.loads(whichpod("k8s", "port-forward-check", *service, "--json"))
    assert len(both["port_forward"]["tally"]["backends"]) == 1
    assert len(both["inside"]["tally"]["backends"]) == 3
    amount = ["--workers", "2", "--requests", "600", "--mesh", "outside"]
    load = json.loads(whichpod("k8s", "bench", *service, *amount, "--json"))
    assert load["tally"]["done"] == 600
    assert len(load["saturation"]["workers"]) == 2
    assert namespaces(here) == before | {namespace}
    whichpod("k8s", "down", image=False, code=2)  # whose is not said, and nobody can be asked
    listed = json.loads(whichpod("k8s", "down", "--dry-run", "--json", image=False))
    assert [o["name"] for o in listed["objects"]] == [namespace]
    shown = whichpod("k8s", "down", "--run", made["run"], image=False)
    assert f"Namespace {namespace}" in shown
    assert namespaces(here) == before
    assert "nothing of whichpod's" in whichpod("k8s", "down", "--yes", image=False)
    assert "nothing of the run r7" in whichpod("k8s", "down", "--run", "r7", image=False)
    gone = json.loads(whichpod("k8s", "down", "--yes", "--json", image=False))
    assert gone == {"schema_version": 1, "what": "removed", "objects": []}


def test_a_set_up_that_does_not_come_up_is_removed_unless_it_is_to_be_kept(
    here: StandIn, whichpod: Command
) -> None:
    before = namespaces(here)
    here.troubles.add(lambda pod: True, "image")
    whichpod("k8s", "up", "--pods", "1", code=4)
    assert namespaces(here) == before
    whichpod("k8s", "up", "--pods", "1", "--namespace", "trial", "--keep", code=4)
    assert namespaces(here) == before | {"trial"}
    assert "Namespace trial" in whichpod("k8s", "down", "--yes", image=False)
    assert namespaces(here) == before


def test_port_forward_that_is_interrupted_is_shown_and_nothing_else_is_begun(
    here: StandIn, whichpod: Command
) -> None:
    made = json.loads(whichpod("k8s", "up", "--pods", "1", "--json"))
    forwarded = threading.Event()

    def forwards(namespace: str, pod: str, port: int) -> tuple[str, int] | None:
        # The first is to see whether it may.
        if sum(r.path.endswith("/portforward") for r in here.server.requests) > 1:
            forwarded.set()
        return tunnels(namespace, pod, port)

    tunnels, here.server.tunnels = here.server.tunnels, forwards
    process = subprocess.Popen(
        [sys.executable, "-m", "whichpod", "k8s", "port-forward-check", "echo", "-n", made["namespace"],
         "--requests", "10000000", "--kubeconfig", str(here.kubeconfig), "--image", IMAGE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert forwarded.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Through port-forward:" in out
    assert "Nothing was sent from inside the cluster" in out
    assert not here.server.store.objects("Job")
    whichpod("k8s", "down", "--yes", image=False)


def test_a_cluster_that_cant_be_used_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert run(["k8s", "doctor"]) == 4
    assert "There is no kubeconfig" in capsys.readouterr().err
    with ApiServer() as server:
        config = str(server.kubeconfig(tmp_path, token="expired"))
        assert run(["matrix", "--cluster", "kubernetes", "--kubeconfig", config]) == 4
        assert "does not accept the credentials" in capsys.readouterr().err
        server.token = "expired"
        server.rules = []
        assert run(["k8s", "probe", "echo", "--kubeconfig", config]) == 4
        shown = capsys.readouterr().err
        assert 'rule {apiGroups: [""], resources: ["services"], verbs: ["get"]}' in shown
        assert run(["k8s", "doctor", "--kubeconfig", config]) == 1
        shown = capsys.readouterr().out.partition("as rules of a Role:\n")[2]
        rules = yaml.safe_load(shown)["rules"]
        assert {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": list(MAKE)} in rules


MAKE = ("create", "patch", "delete", "get", "list")
ROWS = (
    "clusterip", "headless-round-robin", "istio", "istio-grpcroute", "proxyless", "edge-nginx",
    "multi-endpoint", "gateway-grpcroute",
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_printed_rows_are_valid(row: str, version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["k8s", "manifests", row, "--image", IMAGE, "--pods", "3"]) == 0
    text = capsys.readouterr().out
    documents = list(yaml.safe_load_all(text))
    assert documents[0]["kind"] == "Namespace"
    for document in documents:
        if of_istio(document):
            validate_istio(document)
        elif of_gateway_api(document):
            validate_gateway_api(document)
        else:
            validate(document, version)
    jobs = [d for d in documents if d["kind"] == "Job"]
    # Who dials pods, or a gateway, can't be told their addresses ahead.
    assert len(jobs) == (row not in ("multi-endpoint", "gateway-grpcroute"))
    assert all(job["spec"]["suspend"] for job in jobs)
    assert f"kubectl delete namespace whichpod-{row}" in text


def test_all_rows_are_printed_each_in_its_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*args: str) -> set[str]:
        assert run(["k8s", "manifests", *args]) == 0
        found = [d for d in yaml.safe_load_all(capsys.readouterr().out) if d]
        return {d["metadata"]["name"] for d in found if d["kind"] == "Namespace"}

    every = printed()
    assert {f"whichpod-{row}" for row in ROWS} <= every
    assert printed("edge-*") == {name for name in every if "edge-" in name}
    plain = printed("--no-istio")
    assert "whichpod-istio" not in plain
    assert "whichpod-clusterip" in plain


def test_a_printed_row_runs_by_kubectls_means(here: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    """Applied, its client's log read: what kubectl would do, by the same requests."""
    assert run(["k8s", "manifests", "clusterip", "--image", IMAGE, "--pods", "2", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)["items"]
    store = here.server.store
    ready, done = threading.Event(), threading.Event()

    def watch(what: str, document: dict[str, Any]) -> None:
        status = document.get("status") or {}
        if document["kind"] == "Deployment" and status.get("readyReplicas") == 2:
            ready.set()
        if document["kind"] == "Job" and status.get("succeeded"):
            done.set()

    stop = store.subscribe(watch)
    job = documents.pop()
    for document in documents:
        store.create(document)
    assert ready.wait(30)
    del job["spec"]["suspend"]
    store.create(job)
    assert done.wait(30)
    stop()
    (pod,) = store.objects("Pod", "whichpod-clusterip", {"job-name": "client"})
    log = here.server.logs.read("whichpod-clusterip", pod["metadata"]["name"], "client")
    assert store.delete("Namespace", "", "whichpod-clusterip")
    while here.kubelet.processes:
        time.sleep(0.01)
    shown = subprocess.run(
        [sys.executable, "-m", "whichpod", "k8s", "manifests", "--read"],
        input=log, capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    assert "50 of 50 RPCs done" in shown


def test_manifests_that_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for args, said in (
        (["ist*", "--namespace", "one"], "don't fit into one namespace"),
        (["nope"], "no row"),
        (["istio", "--no-istio"], "needs Istio's sidecars"),
        (["istio*", "--no-istio"], "leaves no row of 'istio*'"),
        (["clusterip", "--namespace", "Not_A_Name"], "namespace"),
        (["clusterip", "--pods", "0"], "--pods 0 makes no sense"),
    ):
        assert run(["k8s", "manifests", *args]) == 2
        assert said in capsys.readouterr().err


def test_a_log_without_a_result(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(Target("x:1"), Plan(), Tally())
    lines = list(report_lines(report))
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines)))
    assert run(["k8s", "manifests", "--read"]) == 4  # nothing was done in it
    monkeypatch.setattr(sys, "stdin", io.StringIO("Killed\n"))
    assert run(["k8s", "manifests", "--read"]) == 4
    assert "ended without a result" in capsys.readouterr().err
