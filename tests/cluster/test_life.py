"""What a kubelet does to a pod's containers: probes, hooks, init containers, restarts, and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.living import living
from tests.cluster.manifests import bundle
from whichpod.cluster.local.keeper import back_off
from whichpod.cluster.local.runs import with_runs
from whichpod.manifest.bundle import Bundle
from whichpod.model.errors import LabError

WAIT = "exec sleep 600"


def one(
    *, more: str = "", probe: str = "", grace: int = 30, init: str = "", kind: str = "Deployment", n: int = 1
) -> str:
    """A workload whose container is a shell script of this machine's."""
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: w}}
spec:
  replicas: {n}
  {"serviceName: w" if kind == "StatefulSet" else ""}
  selector: {{matchLabels: {{app: w}}}}
  template:
    metadata: {{labels: {{app: w}}}}
    spec:
      terminationGracePeriodSeconds: {grace}
      {init}
      containers:
        - name: c
          image: script
          env: [{{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
          {probe}
          {more}
"""


def scripted(document: str, script: str = WAIT, **others: str) -> Bundle:
    """A bundle whose images are scripts."""
    runs = [(name, f"sh -c {quoted(text)}", "/") for name, text in {"script": script, **others}.items()]
    return with_runs(bundle(document), runs)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_restarts_wait_longer_and_longer() -> None:
    assert [back_off(n) for n in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]


def test_readiness_by_a_command_of_this_machine(tmp_path: Path) -> None:
    command = f"[/no/such/place/test, -e, {tmp_path}/$(POD).ready]"
    probe = f"readinessProbe: {{exec: {{command: {command}}}, periodSeconds: 1, failureThreshold: 1}}"
    file = tmp_path / "w-0.ready"
    file.touch()
    with living(scripted(one(probe=probe))) as lab:
        assert lab.ready == ["w-0"]
        file.unlink()
        lab.until(lambda: not lab.ready, "its readiness to fail")
        assert "it exited with status 1" in lab.pods["w-0"].reason
        file.touch()
        lab.until(lambda: lab.ready, "its readiness")
        left = [f.name for f in lab.pod("w-0").processes["c"].log.parent.glob("*command*")]
        assert left == []


def test_grace_zero_kills_at_once() -> None:
    with living(scripted(one(grace=0), f"trap '' TERM; {WAIT}")) as lab:
        process = lab.pod("w-0").processes["c"]
        lab.run(lab.lab.delete("w-0"))
        lab.run(lab.lab.settled())
        assert process.exited.result() == -signal.SIGKILL


def test_a_hook_comes_before_sigterm_and_counts_against_the_grace() -> None:
    script = "trap 'echo terminated; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    hook = "lifecycle: {preStop: {exec: {command: [sh, -c, 'echo hooked; exit 3']}}}"
    with living(scripted(one(more=hook), script)) as lab:
        pod = lab.pod("w-0")
        lab.until(lambda: "up" in lab.lab.logs("w-0"), "its word")
        lab.run(lab.lab.delete("w-0"))
        lab.run(lab.lab.settled())
        assert pod.processes["c"].exited.result() == 0
        told = [(e.kind, e.detail) for e in lab.lab.events if e.what == "w-0"]
        assert ("hook failed", "preStop of c: exited with status 3: hooked") in told
        assert [k for k, _ in told].index("hook failed") < [k for k, _ in told].index("gone")
    slow = "lifecycle: {preStop: {sleep: {seconds: 60}}}"
    with living(scripted(one(more=slow, grace=1), f"trap '' TERM; {WAIT}")) as lab:
        process, began = lab.pod("w-0").processes["c"], time.monotonic()
        lab.run(lab.lab.delete("w-0"))
        lab.run(lab.lab.settled())
        assert process.exited.result() == -signal.SIGKILL
        assert time.monotonic() - began >= 3, "the grace and two seconds more"


def test_a_liveness_probe_ends_what_no_longer_works() -> None:
    probe = "livenessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1}"
    with living(scripted(one(probe=probe))) as lab:
        lab.until(lambda: lab.pods["w-0"].restarts == 1, "its restart")
        died = next(e.detail for e in lab.lab.events if e.kind == "died")
        assert died == "was killed by SIGTERM: its liveness probe failed once: it exited with status 1"


def test_a_startup_probe_gives_time_and_then_ends_it() -> None:
    probe = (
        "startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1}\n"
        "          livenessProbe: {exec: {command: ['false']}, periodSeconds: 1}"
    )
    with pytest.raises(LabError, match="before it was ready") as error, living(scripted(one(probe=probe))):
        pass
    assert "was killed by SIGTERM" in error.value.message


def test_init_containers_run_first_and_sidecar_containers_stay(tmp_path: Path) -> None:
    log = tmp_path / "log"
    init = (
        "initContainers: [{name: first, image: first}, {name: beside, image: beside, restartPolicy: Always}]"
    )
    what = scripted(
        one(init=init),
        f"echo main >>{log}; {WAIT}",
        first=f"echo first >>{log}; sleep 0.05; echo done >>{log}",
        beside=f"echo beside >>{log}; {WAIT}",
    )
    with living(what) as lab:
        lab.until(lambda: len(log.read_text().split()) == 4, "both containers")
        assert log.read_text().split()[:2] == ["first", "done"]
        assert set(lab.pod("w-0").processes) == {"first", "beside", "c"}
        assert len(lab.pod("w-0").running) == 2


def test_an_init_container_that_fails_keeps_its_pod_from_starting() -> None:
    init = "initContainers: [{name: first, image: first}]"
    what, said = scripted(one(init=init), first="exit 5"), "container first of pod w-0 exited with status 5"
    with pytest.raises(LabError, match=said), living(what):
        pass


def test_a_stateful_set_keeps_names_and_order() -> None:
    with living(scripted(one(kind="StatefulSet", n=3))) as lab:
        kinds = ("created", "ready")
        assert [(e.kind, e.what) for e in lab.lab.events if e.kind in kinds] == [
            (kind, f"w-{n}") for n in range(3) for kind in kinds
        ]
        before = {name: lab.pod(name).processes["c"].pid for name in lab.ready}
        lab.run(lab.lab.delete("w-1"))
        assert lab.ready == ["w-0", "w-1", "w-2"]
        lab.run(lab.lab.restart("w"))
        assert lab.ready == ["w-0", "w-1", "w-2"]
        assert not set(before.values()) & {lab.pod(n).processes["c"].pid for n in lab.ready}
        gone = [e.what for e in lab.lab.events if e.kind == "gone"]
        assert gone == ["w-1", "w-2", "w-1", "w-0"], "the last first"
        lab.run(lab.lab.scale("w", 1))
        assert [e.what for e in lab.lab.events if e.kind == "gone"][4:] == ["w-2", "w-1"]
        assert list(lab.pods) == ["w-0"]


def test_other_kinds_end_and_come_as_theirs_do() -> None:
    daemons = one(kind="DaemonSet").replace("  replicas: 1\n", "")
    pod = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: solo}\nspec: {containers: [{name: c, image: script}]}\n"
    )
    with living(scripted(f"{daemons}\n---\n{pod}")) as lab:
        assert lab.ready == ["solo", "w-0", "w-1", "w-2"]
        assert len({lab.pods[f"w-{n}"].node for n in range(3)}) == 3
        node = lab.pods["w-1"].node
        lab.run(lab.lab.delete("w-1"))
        assert lab.pods["w-1"].node == node
        with pytest.raises(Exception, match="which nothing rolls out"):
            lab.run(lab.lab.restart("solo"))
        lab.run(lab.lab.delete("solo"))
        lab.run(lab.lab.settled())
        assert lab.ready == ["w-0", "w-1", "w-2"]


SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(os.environ["POD_NAME"].encode())
http.server.HTTPServer((sys.argv[1], int(os.environ["PORT"])), Handler).serve_forever()
"""


def served(listen: str, n: int = 2) -> Bundle:
    document = one(more="ports: [{containerPort: 8080}]", n=n)
    return with_runs(bundle(document), [("scr*", f"{sys.executable} -c {quoted(SERVER)} {listen}", "/")])


def test_a_program_of_this_machine_in_place_of_an_image() -> None:
    async def get(address: str) -> bytes:
        reader, writer = await asyncio.open_connection(address, 8080)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return (await reader.read()).split()[-1]
        finally:
            writer.close()

    with living(served("{ip}")) as lab:
        assert [lab.run(get(p.ip)) for p in lab.lab.pods] == [b"w-0", b"w-1"]


def test_a_program_that_listens_elsewhere_is_told_where_it_has_to() -> None:
    elsewhere = f"127.1.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF | 1}"  # other runs have theirs
    with pytest.raises(LabError) as error, living(served(elsewhere, n=1), timeout_s=2):
        pass
    assert "asked for a connection to port 8080" in error.value.message
    assert f"It listens on {elsewhere}:8080." in error.value.fix
    assert "$POD_IP" in error.value.fix
