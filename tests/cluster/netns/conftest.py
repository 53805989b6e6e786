"""A node with pods whose sockets are in the test's own hands."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from whichpod.cluster.local.supervisor import Supervisor
from whichpod.cluster.netns.addresses import GATEWAY, NODE, POD_CIDR, SERVICE_CIDR
from whichpod.cluster.netns.cluster import NODE_MODULE
from whichpod.cluster.netns.loader import load
from whichpod.cluster.netns.needs import missing_of_machine
from whichpod.cluster.netns.networks import Networks
from whichpod.cluster.netns.requests import NodeRequests
from whichpod.cluster.netns.rules.portals import Portal
from whichpod.cluster.netns.tools import ProxyMode

PORT = 8080


def skip_where_missing(mode: ProxyMode = ProxyMode.IPTABLES) -> None:
    if why := missing_of_machine(mode):
        pytest.skip(why)


class Net:
    """A node, and pods that listen."""

    def __init__(
        self, runner: asyncio.Runner, mode: ProxyMode, supervisor: Supervisor, requests: NodeRequests
    ):
        self.runner = runner
        self.mode = mode
        self.supervisor = supervisor
        self.requests = requests
        self.networks = Networks(requests, supervisor.folder)
        self.addresses: dict[str, str] = {}
        self.listening: dict[str, socket.socket] = {}
        self.loaded: list[Portal] = []

    def add(self, name: str) -> None:
        self.addresses[name] = f"10.244.0.{len(self.addresses) + 2}"
        self.runner.run(self.networks.add(name, self.addresses[name], "default"))
        self.listening[name] = self.listen(name, PORT)

    def listen(self, name: str, port: int) -> socket.socket:
        made = self.made(name, ("0.0.0.0", port))
        made.listen(1000)
        return made

    def made(self, network: str = "", bind: tuple[str, int] | None = None) -> socket.socket:
        made = self.runner.run(self.requests.make_socket(network, bind=bind))
        made.settimeout(10)
        return made

    def dial(self, network: str, address: str, port: int) -> socket.socket:
        """A connection from a pod, or from the node."""
        made = self.made(network)
        try:
            made.connect((address, port))
        except OSError:
            made.close()
            raise
        return made

    def accepted(self, *names: str) -> tuple[str, socket.socket]:
        """The connection that has come in at one of these pods, and which."""
        for name in names or self.listening:
            self.listening[name].setblocking(False)
            try:
                return name, self.listening[name].accept()[0]
            except BlockingIOError:
                continue
        pytest.fail("nobody has a connection")

    def rules(self, *portals: Portal) -> None:
        text = self.mode.kube_proxy(portals, POD_CIDR, SERVICE_CIDR, self.loaded)
        self.runner.run(load(self.supervisor, self.mode, "kube-proxy", text, title="the test"))
        self.loaded = list(portals)

    def portal(self, service: str, address: str, *pods: str, affinity_s: int | None = None) -> Portal:
        endpoints = tuple((self.addresses[p], PORT) for p in pods)
        return Portal("default", service, "grpc", address, 50051, endpoints, affinity_s)


@contextmanager
def net(mode: ProxyMode) -> Iterator[Net]:
    with asyncio.Runner() as runner:

        async def start() -> tuple[Supervisor, NodeRequests]:
            requests = NodeRequests()
            supervisor = await Supervisor.start("netns", NODE_MODULE, [requests.theirs])
            requests.theirs.close()
            return supervisor, requests

        async def stop() -> None:
            await supervisor.close()
            requests.close()

        supervisor, requests = runner.run(start())
        made = Net(runner, mode, supervisor, requests)
        runner.run(made.networks.set_up())
        try:
            yield made
        finally:
            for one in made.listening.values():
                one.close()
            runner.run(stop())


def without_privileges(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started from here on can't make namespaces but in a user namespace of their own.

    Root can't become an ordinary user here: that one might not be able to read this package.
    """
    if os.geteuid() != 0:
        return
    setpriv = shutil.which("setpriv")
    if not setpriv:
        pytest.skip("setpriv (util-linux) is not on this machine")
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nexec {setpriv} --inh-caps=-sys_admin --bounding-set=-sys_admin "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


__all__ = ["GATEWAY", "NODE", "PORT", "Net", "net", "skip_where_missing", "without_privileges"]
