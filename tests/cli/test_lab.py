"""The commands of a lab that stays, each as its user calls it, on one lab in the background."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.cli.labs import Commands, beside, manifests, runtime, wait_for
from tests.cluster.manifests import ROUND_ROBIN, deployment, service
from whichpod.cli.main import run


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A lab of three pods with sidecars, in the background, in a folder with a short name."""
    with tempfile.TemporaryDirectory() as name, runtime(Path(name)):
        file = Path(name) / "echo.yaml"
        file.write_text(manifests())
        assert run(["lab", "up", "-f", str(file), "-d"]) == 0
        yield Path(name)
        assert run(["lab", "down"]) == 0
        assert list((Path(name) / "whichpod").iterdir()) == []


@pytest.fixture
def commands(folder: Path, capfd: pytest.CaptureFixture[str]) -> Commands:
    return Commands(capfd, folder)


def test_status_says_what_there_is(commands: Commands) -> None:
    status = commands.json("status")
    assert status["schema_version"] == 1
    assert (status["name"], status["cluster"]) == ("default", "loopback")
    os.kill(status["pid"], 0)
    assert status["environment"]["envoy"].count(".") == 2
    assert any("kube-proxy" in s or "addresses of 127/8" in s for s in status["stand_ins"])
    echo, direct = status["services"]
    assert echo["cluster_ip"].startswith("127.")
    assert direct["cluster_ip"] == ""
    assert len(echo["ready"]) == echo["pods"] == 3
    assert echo["ports"] == [{"port": 50051, "name": "grpc", "target": "grpc", "protocol": "http2"}]
    assert echo["policies"] == ["port 50051: ROUND_ROBIN, mutual TLS to pods that take it"]
    text = commands.lab("status")
    assert "lab default on loopback" in text
    assert "3 of 3 ready" in text
    assert "headless" in text
    assert "\x1b" not in text


def test_a_second_one_of_that_name_is_refused(commands: Commands) -> None:
    commands.lab("up", "-f", str(commands.folder / "echo.yaml"), code=2)
    assert "A lab called default is up already" in commands.err
    assert "whichpod lab apply" in commands.err


def test_list_names_it(commands: Commands) -> None:
    (lab,) = commands.json("list")["labs"]
    assert lab["name"] == "default"
    assert "default" in commands.lab("list")


def test_probes_and_what_its_sidecar_counted(commands: Commands) -> None:
    assert "expected even: passed" in commands.lab(
        "probe", "echo", "--meshed", "-n", "30", "--expect", "even"
    )
    report = commands.json("probe", "echo", "--meshed")
    assert report["tally"]["done"] == 50
    assert report["target"]["known_by"] == "lab"
    stats = commands.json("stats", "client")
    by_client, by_sidecar = (stats["last_probe"][k] for k in ("by_client", "by_sidecar"))
    assert by_client == by_sidecar
    assert sum(by_client.values()) == 50
    (cluster,) = (c for c in stats["clusters"] if c["name"].endswith("|echo.default.svc.cluster.local"))
    assert sum(e["requests"] for e in cluster["endpoints"]) <= cluster["requests"]["upstream_rq_total"]
    text = commands.lab("stats", "client")
    assert "Both counts agree." in text
    assert "rq_total" in text
    assert commands.json("stats", commands.ready[0])["last_probe"] is None


def test_an_expectation_that_is_not_met_is_the_exit_code(commands: Commands) -> None:
    assert "expected even: failed" in commands.lab("probe", "echo", "--expect", "even", code=1)
    commands.lab("probe", "direct", "--policy", "round_robin", "--warmup", "1", "--expect", "even")
    commands.lab("probe", "echo", "--via", "port-forward", "--expect", "none")
    commands.lab(
        "probe", "echo", "--via", "endpoints", "--policy", "round_robin", "--expect", "partial", code=1
    )


def test_another_method_by_reflection(commands: Commands) -> None:
    report = commands.json(
        "probe",
        "echo",
        "--meshed",
        "--method",
        "grpc.health.v1.Health/Check",
        "--identify",
        "peer",
        "-n",
        "3",
    )
    assert report["tally"]["done"] == 3


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("probe", "nope"), 2, "no Service 'nope'"),
        (("probe", "echo", "--port", "80"), 2, "echo has no port 80"),
        (("probe", "echo", "--meshed", "--via", "xds"), 2, "--meshed and --via xds exclude each other"),
        (("scale", "nope", "3"), 2, "no Deployment 'nope'"),
        (("scale", "echo", "-1"), 2, "No such option"),
        (("restart", "nope"), 2, "no Deployment 'nope'"),
        (("delete", "nope"), 4, "no pod 'nope'"),
        (("kill", "nope"), 4, "no pod 'nope'"),
        (("kill", "POD", "--signal", "NOPE"), 2, "no signal 'NOPE'"),
        (("delay", "nope", "1s"), 2, "no pod or workload 'nope'"),
        (("delay", "echo", "soon"), 2, "soon"),
        (("fail", "echo", "--rate", "2"), 2, "2"),
        (("fail", "echo", "--code", "NOPE"), 2, "NOPE"),
        (("logs", "nope"), 4, "no pod 'nope'"),
        (("logs", "POD", "-c", "nope"), 2, "no container 'nope'"),
        (("config", "nope"), 4, "no pod 'nope'"),
        (("exec", "--pod", "nope", "--", "true"), 4, "no pod 'nope'"),
        (("exec", "--pod", "POD", "--meshed", "--", "true"), 2, "instead of --client"),
        (("exec", "--", "/no/such/thing"), 2, "no command '/no/such/thing'"),
        (("port-forward", "nope", "80"), 2, "no Service 'nope'"),
        (("port-forward", "echo", "x:y"), 2, "x:y are no ports"),
        (("apply",), 2, "What is to run is not said"),
        (("apply", "-f", "/no/such/file"), 2, "/no/such/file can't be read"),
        (("status", "--name", "other"), 4, "no lab called other"),
        (("status", "--name", "NO"), 2, "no name of a lab"),
        (("dns", "sideways"), 2, "sideways"),
        (("up", "--name", "other", "-f", "x", "istio"), 2, "not both"),
        (("up", "--name", "other"), 2, "What is to run is not said"),
        (("up", "--name", "other", "--pods", "many", "istio"), 2, "--pods many"),
        (("up", "--name", "other", "nosuchrow"), 2, "no row 'nosuchrow'"),
        (("up", "--name", "other", "istio", "--cluster", "moon"), 2, "no cluster 'moon'"),
        (("up", "--name", "other", "istio", "--engine", "steam"), 2, "no engine 'steam'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line_or_two(
    commands: Commands, argv: tuple[str, ...], code: int, said: str
) -> None:
    out = commands.lab(*(commands.ready[0] if a == "POD" else a for a in argv), code=code)
    assert said in commands.err
    assert not out


def test_config_in_brief_and_in_whole(commands: Commands) -> None:
    brief = commands.json("config", "client")
    assert {li["does"] for li in brief["listeners"]} == {
        "HTTP by the routes of echo.default.svc.cluster.local:50051"
    }
    does = {c["name"]: c["does"] for c in brief["clusters"]}
    assert "ROUND_ROBIN" in does["outbound|50051||echo.default.svc.cluster.local"]
    assert "echo.default.svc.cluster.local:50051" in commands.lab("config", "client")
    assert "inbound|50051||" in commands.lab("config", commands.ready[0])
    assert '"configs"' in commands.lab("config", "client", "--raw")


def test_scale_restart_and_delete(commands: Commands) -> None:
    assert commands.lab("scale", "echo", "5") == "echo: 5 pods ready.\n"
    assert len(commands.ready) == 5
    assert commands.json("scale", "echo", "3")["ready"] == 3
    before = commands.ready
    assert commands.lab("restart", "echo").startswith("echo: 3 new pods ready: echo-")
    assert not set(before) & set(commands.ready)
    name = commands.ready[0]
    assert f"{name} ends; echo-" in commands.lab("delete", name)
    assert name not in commands.ready
    assert len(commands.ready) == 3


def test_faults_add_up_and_heal(commands: Commands) -> None:
    name = commands.ready[-1]
    commands.lab("delay", name, "1ms")
    assert "100% of the RPCs fail with UNAVAILABLE" in commands.lab("fail", name)
    faults = {"delay": "1ms", "fail_rate": 1.0, "fail_code": "UNAVAILABLE", "fail_how": "trailers-only"}
    assert commands.pods[name]["faults"] == faults
    assert "fail code UNAVAILABLE" in commands.lab("status")
    commands.lab("fail", "echo", "--rate", "0.5", "--code", "aborted")
    assert {commands.pods[n]["faults"]["fail_code"] for n in commands.ready} == {"aborted"}
    commands.lab("heal")
    assert all(not commands.pods[n]["faults"] for n in commands.ready)


def test_kill_and_what_is_told_of_it(commands: Commands) -> None:
    name = commands.ready[1]
    assert commands.lab("kill", name, "--signal", "STOP") == f"{name}: SIGSTOP sent.\n"
    wait_for(commands, name, ready=False)
    assert commands.pods[name]["state"] == "stopped"
    commands.lab("heal", name)
    wait_for(commands, name, ready=True)
    restarts = commands.pods[name]["restarts"]
    commands.lab("kill", name)
    wait_for(commands, name, ready=True, restarts=restarts + 1)
    events = commands.lab("events")
    assert f"kill       {name}  signal 9" in events
    assert f"restarted  {name}" in events
    assert commands.lab("events", "--last", "1").count("\n") == 1
    assert commands.lab("logs", name).count("listening on") == restarts + 2
    assert commands.lab("logs", name, "--previous").count("listening on") == 1
    assert commands.lab("logs", name, "--tail", "1").count("\n") == 1


def test_apply_reaches_sidecars_and_refuses_what_is_broken(commands: Commands) -> None:
    before = commands.ready
    file = commands.write("random.yaml", manifests(rule=ROUND_ROBIN.replace(": ROUND_ROBIN", ": RANDOM")))
    assert commands.lab("apply", "-f", file) == "Applied: 3 pods ready.\n"
    assert "RANDOM" in commands.json("status")["services"][0]["policies"][0]
    broken = commands.write(
        "broken.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {y: 1}\n"
    )
    commands.lab("apply", "-f", broken, code=2)
    assert "broken.yaml:4: Service x: spec.y is not understood" in commands.err
    unknown = commands.write("unknown.yaml", manifests(image="mystery:1"))
    commands.lab("apply", "-f", unknown, code=2)
    assert "unknown.yaml:" in commands.err
    assert "--run 'mystery=COMMAND'" in commands.err
    commands.lab("apply", "-f", str(commands.folder / "echo.yaml"))
    assert commands.ready == before


def test_names_that_lead_nowhere(commands: Commands) -> None:
    lone = deployment(name="lone", replicas=0), service("hermit", headless=True, app="lone")
    with beside(commands, *lone):
        commands.lab("probe", "hermit", code=4)
        assert "No pod of the headless Service hermit is ready, so its name has no address." in commands.err
        commands.lab("probe", "lone", code=2)
        assert "lone is no Service, it has pods of its own." in commands.err
        assert "--via endpoints" in commands.err


def test_parts_go_down_and_up(commands: Commands) -> None:
    commands.lab("dns", "down")
    assert "DNS is down." in commands.lab("status")
    commands.lab("probe", "direct", "-n", "1", "--deadline", "1s", code=4)
    assert "does not resolve" in commands.err
    commands.lab("dns", "up")
    commands.lab("probe", "direct", "-n", "1")
    commands.lab("probe", "echo", "--meshed", "-n", "1")  # so that its sidecar is there
    commands.lab("control-plane", "down")
    assert "The control plane is down." in commands.lab("status")
    commands.lab("probe", "echo", "--meshed", "-n", "3")
    commands.lab("control-plane", "up")
    assert commands.json("status")["control_plane"] is True


def test_exec_has_our_input_output_and_status(commands: Commands) -> None:
    script = 'read x; echo "got $x"; echo "to {echo} $ECHO_SERVICE_PORT" >&2; exit 7'
    done = subprocess.run(
        [sys.executable, "-m", "whichpod", "lab", "exec", "--meshed", "--", "sh", "-c", script],
        input="this\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=commands.folder,
    )
    assert (done.returncode, done.stdout) == (7, "got this\n")
    assert done.stderr.startswith("to 127.")
    assert done.stderr.endswith(":50051 50051\n")


def test_exec_in_a_pod_has_its_variables(commands: Commands) -> None:
    name = commands.ready[0]
    assert commands.lab("exec", "--pod", name, "--", "sh", "-c", "echo $POD_NAME $GRPC_PORT $PWD") == (
        f"{name} 50051 {os.getcwd()}\n"
    )


def test_exec_passes_signals_on(commands: Commands) -> None:
    script = "trap 'echo heard; exit 3' INT; echo up; while :; do sleep 0.01; done"
    with subprocess.Popen(
        [sys.executable, "-m", "whichpod", "lab", "exec", "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        assert out == "heard\n"
        assert process.returncode == 3


def test_exec_that_is_killed_takes_its_command_along(commands: Commands) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "whichpod", "lab", "exec", "--", "sh", "-c", "echo $$; exec sleep 600"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
        # The pipe's other end is the command's: it ends with it.
        assert process.stdout.read() == ""
    assert not Path(f"/proc/{pid}/cwd").exists()


def test_port_forward_leads_into_one_pod(commands: Commands) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "whichpod", "lab", "port-forward", "echo", ":50051"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        said = process.stdout.readline().split()
        address, pod = said[2], said[4].rstrip(",")
        done = subprocess.run(
            [sys.executable, "-m", "whichpod", "probe", address, "-n", "5", "--expect", "single", "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert pod in done.stdout
        commands.lab("delete", pod)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 4
        assert f"The pod {pod}, to which the port was forwarded, is gone." in err
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()


def test_bench_says_who_used_the_cpu(commands: Commands) -> None:
    text = commands.lab("bench", "echo", "--meshed", "-n", "200", "--expect", "even")
    assert "CPU per RPC: client" in text
    assert commands.json("bench", "echo", "-n", "50")["tool"] == "bench"
    commands.lab("bench", "echo", "-n", "50", "--fail-if", "rps>0", code=1)


@needs_openssl
def test_pods_that_speak_tls(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = issued(commands.folder, authority(commands.folder), "shop")
    shop = deployment(
        name="shop",
        replicas=2,
        args=f'["serve", "--tls-cert", "{pair.cert}", "--tls-key", "{pair.key}"]',
        probe="readinessProbe: {tcpSocket: {port: 50051}}",
    )
    monkeypatch.chdir(commands.folder)
    trusted = ("shop", "--ca", "ca.pem", "--server-name", "localhost")
    with beside(commands, shop, service("shop", headless=True, app="shop")):
        assert commands.json("probe", *trusted, "-n", "20")["tally"]["done"] == 20
        assert commands.json("bench", *trusted, "-n", "20")["tally"]["done"] == 20
        commands.lab("probe", "shop", code=4)
        assert "It may speak TLS: --tls." in commands.err
        commands.lab("probe", "shop", "--ca", "no.pem", code=2)
        assert "--ca no.pem can't be read" in commands.err


def test_bench_calls_another_method(commands: Commands) -> None:
    method = ("--method", "whichpod.echo.v1.EchoService/Echo", "--data", '{"payload": "aGk="}')
    report = commands.json("bench", "echo", "--meshed", *method, "-n", "50")
    assert report["plan"]["method"] == "whichpod.echo.v1.EchoService/Echo"
    assert report["tally"]["done"] == 50
    assert report["tally"]["unattributed"] == 0, "our trailers tell of the server with any method"
    nope = ("bench", "echo", "--method", "grpc.health.v1.Health/Nope", "-n", "5")
    commands.lab(*nope, "--data", "{}", code=2)
    assert "grpc.health.v1.Health has no method Nope" in commands.err
    commands.lab(*nope, code=4)
    assert "has no method grpc.health.v1.Health/Nope (UNIMPLEMENTED)" in commands.err
