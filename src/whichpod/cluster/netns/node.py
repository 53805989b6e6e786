"""The process that is a lab's node: `python -m whichpod.cluster.netns.node CONTROL MARKER REQUESTS`.

It is a zygote that has moved into a network namespace of its own, as root or, without privileges, within a
user namespace that maps the user to root. Pods are further network namespaces, each with a mount namespace
(for resolv.conf and hosts) and a UTS namespace (for its host name). They have no names: this process and the
pods' own hold them, so they are gone when those are, however they end. Nothing of the machine's own network
is seen from here, let alone changed.

REQUESTS is a SOCK_SEQPACKET pair with the run. A request is a JSON object, and so is its answer, which brings
a descriptor where a socket was asked for: one made within the node or a pod serves the run from outside.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from whichpod.cluster.local.zygote import RunIsOver, Zygote, main
from whichpod.cluster.netns import links, syscalls
from whichpod.cluster.netns.syscalls import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWUTS

MOST = 1 << 17
"""Bytes of a request, and of its answer."""
RESOLV_CONF, HOSTS = Path("/etc/resolv.conf"), Path("/etc/hosts")
_RESOLVERS = ("/run/nscd", "/run/systemd/resolve", "/run/avahi-daemon")
"""Where the machine's own name services listen: in a pod, names are the cluster's."""
_KINDS = {"net": CLONE_NEWNET, "mnt": CLONE_NEWNS, "uts": CLONE_NEWUTS}
_EACH = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Descriptors of the namespaces that a process can be in."""

    net: int
    mnt: int
    uts: int

    @classmethod
    def ours(cls) -> Namespaces:
        """Those that we are in."""
        return cls(*(syscalls.namespace(kind) for kind in _KINDS))

    def enter(self) -> None:
        """Moves there. The working folder becomes the root folder."""
        for kind, flag in _KINDS.items():
            syscalls.setns(getattr(self, kind), flag)

    def close(self) -> None:
        """Lets go of them."""
        for kind in _KINDS:
            os.close(getattr(self, kind))


class Node(Zygote):
    """A zygote with namespaces."""

    def __init__(
        self, control: socket.socket, folder: Path, requests: socket.socket, *, mapped: bool
    ) -> None:
        super().__init__(control, folder)
        self._mapped = mapped
        self._requests = requests
        self._home = Namespaces.ours()
        self._pods: dict[str, Namespaces] = {}
        self._made = 0
        self.selector.register(requests, selectors.EVENT_READ, self._answer)

    def settle(self, command: Mapping[str, Any]) -> None:
        """Moves a child into its pod."""
        self._requests.close()
        network = command.get("network")
        if network:
            self._pods[network].enter()
        for namespaces in (self._home, *self._pods.values()):
            namespaces.close()

    def _answer(self) -> None:
        data = self._requests.recv(MOST)
        if not data:
            raise RunIsOver
        made: list[socket.socket] = []
        request = json.loads(data)
        try:
            answer = self._do(request, made)
        except OSError as e:
            answer = {"error": e.strerror or str(e), "errno": e.errno}
        except Exception:
            answer = {"error": traceback.format_exc(limit=-1).strip().splitlines()[-1]}
        answer["number"] = request["number"]
        with contextlib.suppress(OSError):
            socket.send_fds(self._requests, [json.dumps(answer).encode()], [s.fileno() for s in made])
        for one in made:
            one.close()

    def _do(self, request: dict[str, Any], made: list[socket.socket]) -> dict[str, Any]:
        match request["op"]:
            case "node":
                self._set_up(request)
                return {"privileges": "a user namespace" if self._mapped else "root"}
            case "pods":
                self._add(request["pods"], request["gateway"])
            case "drop":
                self._pods.pop(request["pod"]).close()
            case "socket":
                made.append(self._socket(request))
        return {}

    def _set_up(self, request: Mapping[str, Any]) -> None:
        self._pods[request["outside"]] = outside = self._new_pod({"name": request["outside"]})
        uplink = links.Uplink(**request["uplink"], net=outside.net)
        self._away(lambda: links.set_up_node(request["addresses"], uplink))

    def _add(self, pods: list[dict[str, str]], gateway: str) -> None:
        wires = []
        for pod in pods:
            self._pods[pod["name"]] = found = self._new_pod(pod)
            wires.append(links.Wire(self._made, found.net, pod["address"]))
            self._made += 1
        self._away(lambda: links.wire(wires, gateway))

    def _new_pod(self, pod: Mapping[str, str]) -> Namespaces:
        try:
            syscalls.unshare(_EACH)
            syscalls.set_host_name(pod["name"].lstrip("_")[:64])
            for name, target in (("resolv_conf", RESOLV_CONF), ("hosts", HOSTS)):
                if name in pod and target.exists():
                    syscalls.bind(pod[name], str(target.resolve()))
            return Namespaces.ours()
        finally:
            self._home.enter()

    def _socket(self, request: Mapping[str, Any]) -> socket.socket:
        """A socket in a pod, or in the node where no pod is named."""
        pod, bind = request.get("pod"), request.get("bind")
        kind = socket.SOCK_DGRAM if request.get("kind") == "udp" else socket.SOCK_STREAM
        if pod:
            syscalls.setns(self._pods[pod].net, CLONE_NEWNET)
        try:
            made = socket.socket(socket.AF_INET, kind)
        finally:
            if pod:
                syscalls.setns(self._home.net, CLONE_NEWNET)
        if bind:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((bind[0], bind[1]))
        return made

    def _away(self, work: Callable[[], None]) -> None:
        """Does what ends in another network namespace, and comes back."""
        try:
            work()
        finally:
            syscalls.setns(self._home.net, CLONE_NEWNET)


def move_in() -> bool:
    """Moves this process into a network of its own; says whether that took a user namespace.

    Raises OSError where the kernel doesn't let it.
    """
    mapped = False
    try:
        syscalls.unshare(_EACH)
    except PermissionError:
        user, group = os.geteuid(), os.getegid()
        syscalls.unshare(CLONE_NEWUSER | _EACH)
        me = Path("/proc/self")
        (me / "setgroups").write_text("deny")
        (me / "uid_map").write_text(f"0 {user} 1")
        (me / "gid_map").write_text(f"0 {group} 1")
        mapped = True
    syscalls.make_mounts_private()
    target = RESOLV_CONF.resolve()
    for folder in _RESOLVERS:
        if Path(folder).is_dir():
            syscalls.mount_tmpfs(folder)
            if target.is_relative_to(folder):
                target.touch()
    return mapped


def _node(control: socket.socket, folder: Path, *, mapped: bool) -> Node:
    requests = socket.socket(fileno=int(sys.argv[3]))
    requests.set_inheritable(False)
    return Node(control, folder, requests, mapped=mapped)


if __name__ == "__main__":
    try:
        mapped = move_in()
    except OSError as e:
        print(f"{e.strerror} [{errno.errorcode.get(e.errno or 0, '')}]", file=sys.stderr)
        sys.exit(1)
    main(partial(_node, mapped=mapped))
