"""Programs in place of images: which image is meant, what the program is given, where it listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.manifests import bundle, deployment
from whichpod.cluster.local import listening
from whichpod.cluster.local.images import image_names
from whichpod.cluster.local.images.program import words
from whichpod.cluster.local.runs import parse_run, with_runs
from whichpod.model.errors import UsageError


@pytest.mark.parametrize(
    "pattern",
    [
        "registry.example:5000/team/shop:1.2",
        "registry.example:5000/team/shop",
        "team/shop",
        "shop",
        "sh*",
        "*",
    ],
)
def test_an_image_is_meant_by_any_of_its_names(pattern: str) -> None:
    what = bundle(deployment(image="registry.example:5000/team/shop:1.2"))
    (found,) = with_runs(what, [(pattern, "true", "/")]).deployments[0].containers
    assert found.local is not None
    assert found.local.program.endswith("/true")


def test_names_of_an_image() -> None:
    assert image_names("nginx:1.29")[1:] == ("nginx", "nginx", "nginx")
    assert image_names("h/x/y@sha256:ab")[1:] == ("h/x/y", "h/x/y", "y")
    assert image_names("localhost:5000/y")[1:] == ("localhost:5000/y", "y", "y")


def test_a_known_image_can_be_another_program_and_others_stay() -> None:
    what = bundle(deployment(image="nginx"), deployment(name="other"))
    first, second = with_runs(what, [("nginx", "true", "/")]).deployments
    assert first.containers[0].local
    assert second.containers[0].local is None


def test_a_program_beside_where_the_command_was_given(tmp_path: Path) -> None:
    program = tmp_path / "serve"
    program.write_text("#!/bin/sh\n")
    what = bundle(deployment(image="shop"))
    with pytest.raises(UsageError, match=r"there is no program './serve'.\nIt is looked for in"):
        with_runs(what, [("shop", "./serve -v", str(tmp_path))])
    program.chmod(0o755)
    local = with_runs(what, [("shop", "./serve -v", str(tmp_path))]).deployments[0].containers[0].local
    assert local is not None
    assert local.program == str(program)


@pytest.mark.parametrize("text", ["shop", "=x", "shop=", " = "])
def test_what_is_no_run(text: str) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        parse_run(text)


def test_what_can_not_be_read_as_a_command() -> None:
    with pytest.raises(UsageError, match="No closing quotation"):
        with_runs(bundle(deployment(image="shop")), [("shop", "sh -c 'x", "/")])


def test_words_of_a_command() -> None:
    places = {"ip": "127.5.1.1", "port": "80"}
    env = {"A": "1"}
    args = ["--x", "y z"]
    assert words("p --listen {ip}:{port} $(A) $$(A) '{id}'", args=[], env=env, places=places) == [
        "p", "--listen", "127.5.1.1:80", "1", "$(A)", "{id}",
    ]  # fmt: skip
    assert words("p a", args=args, env=env, places=places) == ["p", "a", "--x", "y z"]
    assert words("p {args} a", args=args, env=env, places=places) == ["p", "--x", "y z", "a"]


def test_where_processes_listen() -> None:
    lines = (
        "import socket,time",
        "s=socket.create_server(('127.0.0.7',0))",
        "print(s.getsockname()[1],flush=True)",
    )
    script = "\n".join((*lines, "time.sleep(60)"))
    argv = ["/bin/sh", "-c", f'{sys.executable} -c "{script}" & wait']
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        port = process.stdout.readline().strip()
        assert listening.addresses(process.pid) == [f"127.0.0.7:{port}"]
        os.killpg(process.pid, 9)
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        assert f"[::1]:{server.getsockname()[1]}" in listening.addresses(os.getpid())
