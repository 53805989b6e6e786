"""Labs that stay, as whole sessions: in the foreground and the background, ended in order and not."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.labs import Commands, runtime
from tests.cluster.conftest import alive, eventually, with_marker
from tests.cluster.manifests import deployment, service
from whichpod.cli.main import run
from whichpod.cluster.session.asked import Manifests
from whichpod.cluster.session.owner import Spec
from whichpod.model.codec import to_json

LAB = [sys.executable, "-m", "whichpod", "lab"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for all that labs leave on disk, which marks their processes too."""
    with tempfile.TemporaryDirectory() as name, runtime(Path(name)), pytest.MonkeyPatch.context() as patch:
        (Path(name) / "tmp").mkdir()
        patch.setenv("TMPDIR", str(Path(name) / "tmp"))
        (Path(name) / "echo.yaml").write_text("\n---\n".join((deployment(), service())))
        yield Path(name)
        for left in (Path(name) / "whichpod").glob("*.sock"):  # of a test that failed
            run(["lab", "down", "--name", left.stem])


@pytest.fixture
def commands(folder: Path, capfd: pytest.CaptureFixture[str]) -> Commands:
    return Commands(capfd, folder)


def gone(folder: Path) -> None:
    """Waits until nothing is left of any lab."""

    def left() -> list[object]:
        return [*with_marker(str(folder / "tmp")), *(folder / "tmp").iterdir()]

    asyncio.run(eventually(lambda: not left(), "the end of all processes and files", 20))


def test_in_the_foreground_until_ctrl_c(folder: Path, commands: Commands) -> None:
    with subprocess.Popen(
        [*LAB, "up", "-f", str(folder / "echo.yaml"), "--name", "mine", "--engine", "fast"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stdout
        lines = iter(up.stdout.readline, "")
        assert next(lines).startswith("lab mine on loopback")
        assert any("3 of 3 ready" in line for line in lines)
        assert "mine" in commands.lab("list")
        before = commands.json("status", "--name", "mine")
        assert before["environment"]["engine"] == "fast"
        commands.lab("apply", "-f", str(folder / "echo.yaml"), "--name", "mine")
        pods = commands.json("status", "--name", "mine")["pods"]
        assert {p["name"] for p in pods} == {p["name"] for p in before["pods"]}, "the engine stays"
        probe = ("probe", "echo", "--name", "mine", "--new-connection-per-request", "-n", "100")
        assert "expected random: passed" in commands.lab(*probe, "--expect", "random")
        commands.lab("kill", "echo-1", "--name", "mine")
        assert any("died" in line and "echo-1" in line for line in lines)
        up.send_signal(signal.SIGINT)
        _, err = up.communicate(timeout=30)
    assert up.returncode == 0, err
    assert "Ctrl-C ends it" in err
    commands.lab("status", "--name", "mine", code=4)
    assert "no lab called mine" in commands.err
    assert list((folder / "whichpod").iterdir()) == []
    gone(folder)


def test_an_owner_that_is_killed_leaves_nothing_and_the_next_command_says_so(
    folder: Path, commands: Commands
) -> None:
    assert commands.json("up", "-f", str(folder / "echo.yaml"), "-d")["pods"][0]["ready"] is True
    pid = commands.json("status")["pid"]
    os.kill(pid, signal.SIGKILL)
    asyncio.run(eventually(lambda: not alive(pid), "its end"))
    commands.lab("status", code=4)
    assert f"is gone: its process {pid} ended" in commands.err
    assert "whichpod lab up" in commands.err
    commands.lab("status", code=4)
    assert "There is no lab called default." in commands.err
    assert commands.lab("list") == "No lab is up.\n"
    gone(folder)
    commands.lab("up", "-f", str(folder / "echo.yaml"), "-d")
    assert len(commands.ready) == 3
    commands.lab("up", "-f", str(folder / "echo.yaml"), "-d", "--name", "other", "--pods", "1")
    assert commands.lab("down", "--all") == "The lab default has ended.\nThe lab other has ended.\n"
    assert commands.lab("down", "--all") == "No lab is up.\n"
    gone(folder)


def test_what_does_not_come_up_says_why_and_leaves_nothing(folder: Path, commands: Commands) -> None:
    bad = commands.write("bad.yaml", deployment(args="[serve, --nope]"))
    commands.lab("up", "-f", bad, "-d", code=4)
    assert "--nope" in commands.err
    commands.lab("up", "-f", bad, code=4)
    assert "--nope" in commands.err
    unknown = commands.write("unknown.yaml", deployment(image="registry.example/team/shop:1.2"))
    commands.lab("up", "-f", unknown, "-d", code=2)
    assert (
        "unknown.yaml:13: the container echo has the image 'registry.example/team/shop:1.2'" in commands.err
    )
    commands.lab("up", "-f", unknown, "--run", "shop=/no/such/program", code=2)
    assert "there is no program '/no/such/program'" in commands.err
    commands.lab("up", "-f", unknown, "--run", "shp=true", code=2)
    assert "no container has such an image" in commands.err
    assert commands.lab("list") == "No lab is up.\n"
    gone(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_starting_in_the_background_ends_with_the_command_that_starts(
    folder: Path, commands: Commands, number: int
) -> None:
    slow = commands.write("slow.yaml", deployment(probe="readinessProbe: {grpc: {port: 1}}"))
    with subprocess.Popen([*LAB, "up", "-f", slow, "-d"], stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr
        assert "starting 3 pods" in up.stderr.readline()
        up.send_signal(number)
        up.communicate(timeout=30)
    assert up.returncode == (130 if number == signal.SIGINT else -number)
    gone(folder)


def test_one_that_is_up_ends_where_nobody_has_heard_of_that(folder: Path) -> None:
    spec = Spec("default", Manifests((("echo.yaml", (folder / "echo.yaml").read_text()),)))
    with subprocess.Popen(
        [sys.executable, "-m", "whichpod.cli.lab.staying", "loopback", ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdin
        assert owner.stdout
        owner.stdin.write(json.dumps(to_json(spec)) + "\n")
        owner.stdin.flush()
        assert any('"up"' in line for line in owner.stdout)
        owner.stdin.close()
        assert owner.wait(30) == 130
    gone(folder)


def test_a_program_of_one_s_own_with_a_shell_beside_it(folder: Path, commands: Commands) -> None:
    serve = f"{sys.executable} -m whichpod serve --host {{ip}} --port {{port}}"
    file = commands.write(
        "shop.yaml",
        "\n---\n".join((deployment(image="registry.example/team/shop:1.2", args="[]"), service())),
    )
    commands.lab("up", "-f", file, "--run", f"shop={serve}", "-d")
    report = commands.json("probe", "echo", "--new-connection-per-request", "--expect", "random", "-n", "60")
    assert {b["backend"]["pod"] for b in report["tally"]["backends"].values()} == set(commands.ready)
    assert interact([*LAB, "exec", "--pod", "echo-1", "--", "/bin/sh"], "tty; echo $POD_NAME; exit 4\r") == 4
    commands.lab("down")
    gone(folder)


def interact(argv: list[str], typed: str) -> int:
    """Runs a command in a terminal, types into it, and returns its exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "ready> "
        os.execv(argv[0], argv)
    shown = b""
    while b"ready> " not in shown and b"$ " not in shown and b"# " not in shown:
        shown += os.read(terminal, 1000)
    os.write(terminal, typed.encode())
    try:
        while data := os.read(terminal, 1000):
            shown += data
    except OSError:  # EIO: it has ended
        pass
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    text = shown.decode()
    assert "/dev/pts/" in text
    assert "\r\necho-1\r\n" in text
    return os.waitstatus_to_exitcode(status)


def test_the_namespace_lab_takes_the_same_commands(folder: Path, commands: Commands) -> None:
    from whichpod.cluster.netns import ProxyMode, missing_of_machine

    if why := missing_of_machine(ProxyMode.IPTABLES):
        pytest.skip(why)
    what = "\n---\n".join((deployment(sidecar=True), service()))
    commands.lab("up", "-f", commands.write("m.yaml", what), "-d", "--cluster", "netns")
    status: Any = commands.json("status")
    assert status["cluster"] == "netns"
    probe = ("probe", "echo", "--meshed", "-n", "60", "--expect", "random")
    assert "expected random: passed" in commands.lab(*probe)
    assert commands.json("stats", "client")["last_probe"]["by_client"]
    client = (sys.executable, "-m", "whichpod", "probe", "{echo}", "-n", "20", "--json")
    done = subprocess.run(
        [*LAB, "exec", "--meshed", "--", *client], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tally"]["done"] == 20
    assert commands.lab("exec", "--pod", "echo-0", "--", "hostname") == "echo-0\n"
    commands.lab("kill", "echo-0", "-c", "istio-proxy")
    commands.until_restarted("echo-0", 1)
    assert "expected random: passed" in commands.lab(*probe)
    commands.lab("logs", "echo-0", "-c", "istio-proxy")
    assert "echo: 2 pods ready." in commands.lab("scale", "echo", "2")
    commands.lab("down")
    gone(folder)
