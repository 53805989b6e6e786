from __future__ import annotations

import subprocess
import sys

import pytest

from whichpod.cli.clusters import CLUSTERS, Access
from whichpod.model.errors import UsageError


@pytest.mark.parametrize(
    ("access", "cluster", "said"),
    [
        (Access(), "minikube", "There is no cluster 'minikube'.\nKnown: loopback, netns, auto, kubernetes."),
        (Access(image="x"), "netns", "--image means nothing with --cluster netns.\nSay --cluster kubernetes"),
        (Access(keep=True), "auto", "--keep means nothing with --cluster auto."),
        (Access(proxy_mode="nftables"), "loopback", "--proxy-mode means nothing.*\nSay --cluster netns"),
        (Access(proxy_mode="nftables"), "kubernetes", "--proxy-mode means nothing with --cluster kubernetes"),
        (Access(proxy_mode="ipvs"), "netns", "There is no proxy mode 'ipvs'.\nKnown: iptables, nftables."),
    ],
)
def test_options_that_another_cluster_has_are_refused(access: Access, cluster: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        access.check(cluster)


def test_options_that_fit_are_taken() -> None:
    for cluster in CLUSTERS:
        Access().check(cluster)
    Access(proxy_mode="iptables").check("netns")
    Access(proxy_mode="nftables").check("auto")
    Access(context="kind", image="x").check("kubernetes")


def test_a_wrong_option_starts_nothing_and_ends_with_2() -> None:
    command = [sys.executable, "-m", "whichpod", "matrix", "--cluster", "netns", "--proxy-mode", "ipvs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "There is no proxy mode 'ipvs'" in done.stderr
