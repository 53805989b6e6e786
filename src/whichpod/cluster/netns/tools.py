"""The programs that load rules into the kernel, and what they are told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from whichpod.cluster.netns.rules import interception, iptables, nftables
from whichpod.cluster.netns.rules.portals import Portal
from whichpod.model.errors import UsageError


class ProxyMode(StrEnum):
    """How kube-proxy writes its rules: its own option --proxy-mode."""

    IPTABLES = "iptables"
    NFTABLES = "nftables"

    @property
    def program(self) -> str:
        """What loads the rules."""
        return "iptables-restore" if self is ProxyMode.IPTABLES else "nft"

    def command(self, file: Path) -> list[str]:
        """The command that loads a file of rules, all or nothing. Raises UsageError where it isn't there."""
        found = str(find(self))
        return [found, str(file)] if self is ProxyMode.IPTABLES else [found, "-f", str(file)]

    def kube_proxy(
        self, portals: Sequence[Portal], pod_cidr: str, service_cidr: str, before: Sequence[Portal] = ()
    ) -> str:
        """The node's rules; `before` is what the last ones were made of."""
        if self is ProxyMode.IPTABLES:
            return iptables.kube_proxy(portals, pod_cidr)
        return nftables.kube_proxy(portals, pod_cidr, service_cidr, before)

    def interception(self) -> str:
        """The rules of a pod that has a sidecar."""
        return interception.iptables() if self is ProxyMode.IPTABLES else interception.nftables()


def find(mode: ProxyMode) -> Path:
    """The program of a mode. Raises UsageError with the package that brings it."""
    found = _on_path(mode)
    if found:
        return found
    other = next((m for m in ProxyMode if m is not mode and _on_path(m)), None)
    instead = f"use --proxy-mode {other} or --cluster loopback" if other else "use --cluster loopback"
    raise UsageError(
        f"{mode.program}, which loads kube-proxy's rules in {mode} mode, was not found on this machine.",
        fix=f"Install the system's package {mode} (sudo apt install {mode}), or {instead}.",
    )


def _on_path(mode: ProxyMode) -> Path | None:
    # Distributions keep them in sbin, which is not on an ordinary user's PATH.
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(mode.program, path=search)
    return Path(found) if found else None
