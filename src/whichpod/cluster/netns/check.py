"""Tries out what a lab needs of the kernel, in namespaces of its own: `python -m whichpod.cluster.netns.check
MODE`. Says on stdout what is missing, as JSON: null where nothing is."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from whichpod.cluster.netns.links import Wire, forward, wire
from whichpod.cluster.netns.node import RESOLV_CONF, move_in
from whichpod.cluster.netns.rules.portals import Portal
from whichpod.cluster.netns.syscalls import CLONE_NEWNET, namespace, setns, unshare
from whichpod.cluster.netns.tools import ProxyMode

_SAMPLE = (
    Portal("a", "b", "c", "10.96.0.1", 80, (("10.244.0.2", 80), ("10.244.0.3", 80)), affinity_s=60),
    Portal("a", "d", "c", "10.96.0.2", 80),
)
_IPTABLES = (
    ("-m comment --comment x", "xt_comment"),
    ("-m mark --mark 1", "xt_mark"),
    ("-m conntrack --ctstate NEW", "xt_conntrack"),
    ("-m statistic --mode random --probability 0.5", "xt_statistic"),
    ("-m recent --name x --set", "xt_recent"),
    ("-p tcp -j REDIRECT --to-ports 1", "xt_REDIRECT"),
    ("-p tcp -j DNAT --to-destination 10.0.0.1:1", "xt_nat"),
)
_NFTABLES = (
    ("ct state new", "nf_conntrack"),
    ("numgen random mod 2 0", "nft_numgen"),
    ("meta l4proto tcp redirect to :1", "nft_redir"),
    ("meta l4proto tcp dnat to 10.0.0.1:1", "nft_nat"),
)


def missing(mode: ProxyMode) -> str | None:
    """What keeps a lab from running, in words."""
    try:
        move_in()
    except OSError as e:
        return f"Namespaces can't be made here: {e.strerror}.{_why_not(e.errno)}"
    if not RESOLV_CONF.exists():
        return f"There is no {RESOLV_CONF}, which pods get their own in place of."
    try:
        node = namespace("net")
        unshare(CLONE_NEWNET)
        pod = namespace("net")
        setns(node, CLONE_NEWNET)
        wire([Wire(0, pod, "10.244.0.2")], "10.244.0.1")
        setns(node, CLONE_NEWNET)
        forward()
    except OSError as e:
        what = f"{e.filename} can't be written" if e.filename else "pods can't be wired (module veth)"
        return f"A node can't be set up here: {what}: {e.strerror}."
    for text in (mode.kube_proxy(_SAMPLE, "10.244.0.0/16", "10.96.0.0/12"), mode.interception()):
        if said := _refused(mode, text):
            module = next((m for rule, m in _single(mode) if _refused(mode, rule)), "")
            which = f"; it lacks the module {module}" if module else ""
            return f"The kernel refuses kube-proxy's rules in {mode} mode{which}: {said}"
    return None


def _refused(mode: ProxyMode, text: str) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="whichpod-check-") as file:
        file.write(text)
        file.flush()
        environment = {**os.environ, "XTABLES_LOCKFILE": f"{file.name}.lock"}
        done = subprocess.run(
            mode.command(Path(file.name)), capture_output=True, text=True, check=False, env=environment
        )
        with contextlib.suppress(OSError):
            Path(environment["XTABLES_LOCKFILE"]).unlink()
    if done.returncode == 0:
        return ""
    return " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"


def _single(mode: ProxyMode) -> Iterator[tuple[str, str]]:
    if mode is ProxyMode.IPTABLES:
        for rule, module in _IPTABLES:
            yield f"*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT {rule}\nCOMMIT\n", module
        yield "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n", "xt_MASQUERADE"
        yield "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j REJECT\nCOMMIT\n", "ipt_REJECT"
        return
    frame = "add table ip t\nadd chain ip t c {{ type nat hook {} priority 0 ; }}\nadd rule ip t c {}\n"
    for rule, module in _NFTABLES:
        yield frame.format("output", rule), module
    yield frame.format("postrouting", "masquerade fully-random"), "nft_masq"
    yield "add table ip t\nadd chain ip t r\nadd rule ip t r reject\n", "nft_reject_inet"


def _why_not(number: int | None) -> str:
    """What a kernel's settings say on it."""
    if number == errno.ENOSPC:
        return " A limit is reached: see /proc/sys/user/max_net_namespaces and its neighbours."
    if os.geteuid() == 0:
        return " A container needs CAP_SYS_ADMIN for it."
    for setting, bad in (
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        with contextlib.suppress(OSError):
            if (Path("/proc/sys") / setting).read_text().strip() == bad:
                name = setting.replace("/", ".")
                return f" User namespaces are off ({name} is {bad})."
    return ""


if __name__ == "__main__":
    json.dump(missing(ProxyMode(sys.argv[1])), sys.stdout)
