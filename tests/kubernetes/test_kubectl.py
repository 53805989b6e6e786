"""The real kubectl with what whichpod prints and what deploy/ holds, against the stand-in."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import needs_openssl
from tests.kubectl import KUBECTL
from tests.kubernetes.deployed import DEPLOY, SETUPS
from tests.kubernetes.standin.fixture import IMAGE, StandIn, cluster
from whichpod.cli.main import run
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import ApiError

OLDEST = (1, 27)


def too_old() -> bool:
    if not KUBECTL:
        return True
    said = subprocess.run([KUBECTL, "version", "--client"], capture_output=True, text=True, timeout=60).stdout
    found = re.search(r"v(\d+)\.(\d+)", said)
    return found is None or (int(found[1]), int(found[2])) < OLDEST


pytestmark = [
    needs_openssl,
    pytest.mark.skipif(too_old(), reason="no kubectl of 1.27 or newer is here"),
]


@dataclass(frozen=True, slots=True)
class Kubectl:
    here: StandIn
    cache: Path

    def __call__(self, *args: str, said: str = "", code: int = 0) -> str:
        where = ["--kubeconfig", str(self.here.kubeconfig), "--cache-dir", str(self.cache)]
        assert KUBECTL
        done = subprocess.run(
            [KUBECTL, *where, *args], input=said, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, (args, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def kubectl(tmp_path: Path) -> Iterator[Kubectl]:
    # It says its token over TLS only.
    with cluster(tmp_path, tls=True) as here:
        yield Kubectl(here, tmp_path / "cache")


def test_what_a_printed_row_says_to_do_works(
    kubectl: Kubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each command in its head, as it is written there."""
    assert run(["k8s", "manifests", "clusterip", "--image", IMAGE, "--pods", "2"]) == 0
    text = capsys.readouterr().out
    kubectl("apply", "--server-side", "--validate=false", "-f", "-", said=text)
    commands = re.findall(r"^#(?:   | Remove it: )kubectl (.*)$", text, re.MULTILINE)
    assert len(commands) == 5
    *first, logs, last = commands
    for command in first:
        kubectl(*shlex.split(command))
    read, _, reader = logs.partition(" | ")
    log = kubectl(*shlex.split(read))
    shown = subprocess.run(
        [sys.executable, "-m", *shlex.split(reader)],
        input=log, capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    assert "50 of 50 RPCs done" in shown
    assert "expected none: passed" in shown
    assert "servers hit 1 of 2" in shown
    kubectl(*shlex.split(last))
    names = {d["metadata"]["name"] for d in kubectl.here.server.store.objects("Namespace")}
    assert "whichpod-clusterip" not in names


@pytest.mark.parametrize("setup", SETUPS)
def test_the_guides_set_ups_apply_and_go(kubectl: Kubectl, setup: str) -> None:
    store = kubectl.here.server.store
    before = {d["metadata"]["name"] for d in store.objects("Namespace")}
    kubectl("apply", "--server-side", "--validate=false", "-k", str(DEPLOY / setup))
    namespace = f"whichpod-{setup}"
    kubectl("wait", "-n", namespace, "deployment/echo", "--for=condition=Available", "--timeout=30s")
    deployment = store.get("Deployment", namespace, "echo")
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == deployment["spec"]["replicas"]
    slices = store.objects("EndpointSlice", namespace)
    assert {len(piece["endpoints"]) for piece in slices} == {deployment["spec"]["replicas"]}
    kubectl("delete", "-k", str(DEPLOY / setup), "--wait=false", "--ignore-not-found")
    kubectl("wait", "namespace", namespace, "--for=delete", "--timeout=30s")
    assert {d["metadata"]["name"] for d in store.objects("Namespace")} == before


@pytest.mark.anyio
async def test_what_kubectl_manages_is_not_taken_over_silently(kubectl: Kubectl) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: default}\ndata: {key: theirs}\n"
    kubectl("apply", "--server-side", "--validate=false", "-f", "-", said=text)
    mine = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "default"},
        "data": {"key": "ours"},
    }
    async with Api.open(str(kubectl.here.kubeconfig)) as api:
        with pytest.raises(ApiError, match=r'conflict with "kubectl" using v1: \.data\.key'):
            await api.apply(mine, force=False)
        await api.apply(mine)
    refused = kubectl("apply", "--server-side", "--validate=false", "-f", "-", said=text, code=1)
    assert 'conflict with "whichpod"' in refused
