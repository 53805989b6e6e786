"""Names of labs: who has one, who has left one behind, and folders that are not to be trusted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from whichpod.cluster.session import places
from whichpod.cluster.session.places import Claim, connected, names, owner_of
from whichpod.model.errors import LabError, UsageError


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_name_is_taken_once_and_given_back() -> None:
    assert owner_of("mine") is None
    with Claim.take("mine") as claim:
        owner = owner_of("mine")
        assert owner is not None
        assert owner.pid == os.getpid()
        assert names() == ["mine"]
        with pytest.raises(UsageError, match=rf"called mine is up already \(process {os.getpid()}\)"):
            Claim.take("mine")
        with Claim.take("other"):
            assert names() == ["mine", "other"]
        claim.close()
    assert names() == []
    with Claim.take("mine"):
        pass


def test_who_listens_is_connected_to() -> None:
    with pytest.raises(LabError, match=r"(?s)no lab called mine.*whichpod lab up"):
        connected("mine")
    with Claim.take("mine") as claim:
        with claim.listen() as listener, connected("mine") as conn:
            listener.setblocking(True)
            accepted, _ = listener.accept()
            with accepted:
                conn.sendall(b"x")
                assert accepted.recv(1) == b"x"
        with pytest.raises(LabError, match=r"(?s)no lab called other.*There are: mine"):
            connected("other")


def test_a_path_that_is_too_long_for_a_socket_s_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with Claim.take("mine") as claim, claim.listen():
        connected("mine").close()


HOLD = """
import time
from whichpod.cluster.session.places import Claim
claim = Claim.take("mine")
claim.listen()
print("held", flush=True)
time.sleep(60)
"""


def test_one_whose_owner_was_killed_is_told_of_once_and_then_forgotten() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "held\n"
        found = owner_of("mine")
        assert found is not None
        assert found.pid == owner.pid
        owner.send_signal(signal.SIGKILL)
    with pytest.raises(LabError, match=rf"The lab mine, up since .* is gone: its process {owner.pid} ended"):
        connected("mine")
    with pytest.raises(LabError, match="no lab called mine"):
        connected("mine")
    assert names() == []


def test_one_whose_owner_was_killed_is_in_nobody_s_way() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        owner.stdout.readline()
        owner.send_signal(signal.SIGKILL)
    with Claim.take("mine") as claim, claim.listen():
        connected("mine").close()


@pytest.mark.parametrize("name", ["", "Mine", "a/b", "..", "-x", "x" * 41, "a b"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a lab"):
        owner_of(name)


def test_a_folder_that_others_can_look_into_is_refused(tmp_path: Path) -> None:
    places.home().chmod(0o755)
    with pytest.raises(LabError, match="not this user's alone"):
        owner_of("mine")


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    (tmp_path / "whichpod").symlink_to(target)
    with pytest.raises(LabError, match="not this user's alone"):
        owner_of("mine")


def test_without_a_runtime_folder_it_is_one_of_the_user_s_below_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert places.home() == tmp_path / f"whichpod-{os.geteuid()}"
    assert places.home().stat().st_mode & 0o777 == 0o700
