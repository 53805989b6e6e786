"""What a machine lacks is told with the way to get it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.netns.conftest import skip_where_missing
from whichpod.cli.clusters import local
from whichpod.cluster.netns import needs
from whichpod.cluster.netns.cluster import NetnsCluster
from whichpod.cluster.netns.tools import ProxyMode, find
from whichpod.model.errors import UsageError


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    needs.missing_of_machine.cache_clear()
    yield
    needs.missing_of_machine.cache_clear()


def test_a_program_that_is_not_there_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    with pytest.raises(UsageError) as told:
        find(ProxyMode.NFTABLES)

    assert "nft, which loads kube-proxy's rules in nftables mode, was not found" in told.value.message
    assert "apt install nftables" in told.value.fix
    assert "--cluster loopback" in told.value.fix
    assert str(told.value) == needs.missing_of_machine(ProxyMode.NFTABLES)


def test_where_one_program_is_there_its_mode_is_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: "/usr/sbin/nft" if name == "nft" else None)

    with pytest.raises(UsageError, match="--proxy-mode nftables"):
        find(ProxyMode.IPTABLES)


def test_auto_takes_what_works_and_says_why_it_is_not_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    can: dict[ProxyMode, str | None] = {ProxyMode.IPTABLES: "No iptables.", ProxyMode.NFTABLES: None}
    monkeypatch.setattr("whichpod.cluster.netns.needs.missing_of_machine", can.__getitem__)

    assert isinstance(local("auto"), NetnsCluster)
    assert local("auto", "iptables").name == "loopback"
    assert capsys.readouterr().err == "whichpod: --cluster auto is loopback here. No iptables.\n"
    with pytest.raises(UsageError, match="No iptables"):
        local("netns")


_WITHOUT_STATISTIC = """
import json
from whichpod.cluster.netns import check
check._refused = lambda _, text: "No such file" if "-m statistic" in text else ""
print(json.dumps(check.missing(check.ProxyMode.IPTABLES)))
"""


def test_a_kernel_without_a_module_is_told_by_the_module() -> None:
    """The kernel here has them all: this one refuses every text with a certain match."""
    skip_where_missing()

    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_STATISTIC], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == (
        "The kernel refuses kube-proxy's rules in iptables mode; it lacks the module xt_statistic: "
        "No such file"
    )


def test_user_namespaces_that_are_used_up_or_off() -> None:
    """Within a user namespace the limits are our own to set."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces can't be made here")
    script = 'echo 0 > /proc/sys/user/max_net_namespaces; exec "$0" -m whichpod.cluster.netns.check iptables'

    done = subprocess.run(
        [unshare, "-Ur", "sh", "-c", script, sys.executable], capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == (
        "Namespaces can't be made here: unshare: No space left on device. A limit is reached: see "
        "/proc/sys/user/max_net_namespaces and its neighbours."
    )


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    skip_where_missing()

    assert list(tmp_path.iterdir()) == []
