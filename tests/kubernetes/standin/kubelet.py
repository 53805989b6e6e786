"""Runs pods of whichpod's image as processes of this machine, each with an address of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import subprocess
import threading
import time
from typing import Any

from tests.forks import FORKS, Forked
from tests.kubernetes.standin.environment import environment
from tests.kubernetes.standin.network import Network, gate_of
from tests.kubernetes.standin.server import ApiServer
from tests.kubernetes.standin.status import RefusedError
from tests.kubernetes.standin.store import Object
from tests.kubernetes.standin.troubles import LAST_WORDS, PULL_ERROR, Troubles, status_of, waiting
from whichpod.cluster.kubernetes.task import QUIT, TASK
from whichpod.cluster.local.readiness import NotReadyError, attempt
from whichpod.cluster.loopback.addresses import Block
from whichpod.manifest.kinds import GrpcCheck

_GRACE_S = 10.0


class Kubelet:
    """Runs while entered. Pods of other images get ready without running."""

    def __init__(self, server: ApiServer, troubles: Troubles, image: str) -> None:
        self._server = server
        self._store = server.store
        self._troubles = troubles
        self._image = image
        self.network = Network(server.store)
        self._block = Block.claim()
        self._pods: dict[str, _Pod] = {}
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Kubelet:
        self._store.kubelet = True
        self.network.on_quit = self._wake
        self._server.tunnels = self._tunnel
        self._stop = self._store.subscribe(self._changed)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        with self._lock:
            pods = list(self._pods.values())
        for pod in pods:
            pod.kill()
        for pod in pods:
            pod.thread.join()
        self.network.close()
        self._block.close()

    @property
    def processes(self) -> list[Forked]:
        """Those that still run."""
        return [p.process for p in self._pods.values() if p.process and p.process.poll() is None]

    def kill(self, pod: str, number: int = signal.SIGKILL) -> None:
        """Sends a signal to a pod's process, as no API does."""
        process = self._pods[pod].process
        assert process is not None
        process.send_signal(number)

    def _changed(self, what: str, document: Object) -> None:
        if document["kind"] != "Pod":
            return
        name = document["metadata"]["name"]
        with self._lock:
            known = self._pods.get(name)
            if known is None and what == "ADDED":
                self._count += 1
                number = self._count
                ip = f"127.{self._block.number}.{1 + number // 250}.{1 + number % 250}"
                known = self._pods[name] = _Pod(self, document, ip)
                known.thread.start()
        if known and (what == "DELETED" or document["metadata"].get("deletionTimestamp")):
            known.end()

    def _wake(self) -> None:
        for pod in list(self._pods.values()):
            pod.changed.set()

    def _tunnel(self, namespace: str, pod: str, port: int) -> tuple[str, int] | None:
        known = self._pods.get(pod)
        return (known.ip, port) if known else None


class _Pod:
    def __init__(self, kubelet: Kubelet, pod: Object, ip: str) -> None:
        self._kubelet = kubelet
        self._pod = pod
        self.ip = ip
        self.process: Forked | None = None
        self.changed = threading.Event()
        self._ending = False
        self._killed = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self._trouble = kubelet._troubles.of(pod)

    @property
    def _name(self) -> str:
        return str(self._pod["metadata"]["name"])

    @property
    def _namespace(self) -> str:
        return str(self._pod["metadata"]["namespace"])

    def end(self) -> None:
        self._ending = True
        self.changed.set()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._killed = self._ending = True
        self.changed.set()
        if self.process and self.process.poll() is None:
            self.process.kill()

    def _run(self) -> None:
        try:
            held = status_of(self._pod, self._trouble)
            if held:
                if self._trouble == "image":
                    self._warn(
                        "Failed", PULL_ERROR.format(image=self._pod["spec"]["containers"][0].get("image"))
                    )
                if self._trouble == "crash":
                    self._server.log(
                        self._namespace, self._name, LAST_WORDS, self._pod["spec"]["containers"][0]["name"]
                    )
                self._say(held)
                self._await_end()
            else:
                self._live()
        finally:
            if not self._killed:
                self._kubelet._store.drop("Pod", self._namespace, self._name)

    def _live(self) -> None:
        self._say(waiting(self._pod, "ContainerCreating", ""))
        container = self._pod["spec"]["containers"][0]
        if container.get("image") != self._kubelet._image:
            self._say(self._status("Running", ready=True))
            self._await_end()
            return
        with contextlib.ExitStack() as stack:
            process = self._start(container)
            self.process = process
            if self._ending:
                process.send_signal(signal.SIGTERM)
            pump = threading.Thread(target=self._pump, args=(process,), daemon=True)
            pump.start()
            stack.callback(pump.join)
            self._say(self._status("Running", ready=False))
            if self._trouble in ("evict", "oom"):
                self._lose(process)
            elif "readinessProbe" in container and self._trouble != "never-ready":
                self._await_ready(process, container["readinessProbe"]["grpc"]["port"])
            code = self._await_exit(process)
        self._server.end_log(self._namespace, self._name, container["name"])
        if not self._ending:
            self._over(code)
            self._await_end()

    @property
    def _server(self) -> ApiServer:
        return self._kubelet._server

    def _start(self, container: dict[str, Any]) -> Forked:
        pod = {**self._pod, "status": {"podIP": self.ip}}
        pod["spec"] = {**pod["spec"], "nodeName": "node-1"}
        env = environment(pod, container)
        command = container.get("command") or ["whichpod"]
        arguments = [*command[1:], *(container.get("args") or ())]
        module = command[0]
        if module == "whichpod":
            arguments += ["--host", self.ip]
        else:
            _, module, *arguments = arguments  # python -m MODULE
        if TASK in env:
            gate = _free_port()
            env = self._kubelet.network.rewritten(pod, env, gate)
            for port in _gates(container):
                self._server.proxies(self._name, port, gate_of(gate))
        return FORKS.start(module, arguments, {**_base(), **env})

    def _pump(self, process: Forked) -> None:
        name = self._pod["spec"]["containers"][0]["name"]
        assert process.stdout is not None
        with io.TextIOWrapper(process.stdout, "utf-8", "replace") as lines:
            for line in lines:
                self._server.log(self._namespace, self._name, line, name)

    def _await_ready(self, process: Forked, port: int) -> None:
        while process.poll() is None and not self._ending:
            try:
                asyncio.run(attempt(GrpcCheck(port=port), self.ip, {}, 1.0))
            except NotReadyError:
                time.sleep(0.02)
            else:
                self._say(self._status("Running", ready=True))
                return

    def _await_exit(self, process: Forked) -> int:
        while process.poll() is None:
            if self._ending:
                try:
                    return process.wait(_GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        return process.wait()

    def _lose(self, process: Forked) -> None:
        """As soon as the container said something, so that it had begun."""
        container = self._pod["spec"]["containers"][0]["name"]
        while process.poll() is None and not self._server.logs.read(self._namespace, self._name, container):
            time.sleep(0.02)
        process.kill()

    def _over(self, code: int) -> None:
        # A pod that is evicted ends as a whole.
        injected = self._trouble != "evict" and any(
            c["name"] == "istio-proxy" for c in self._pod["spec"]["containers"]
        )
        reason = "Completed" if code == 0 else "OOMKilled" if self._trouble == "oom" else "Error"
        ended = {"terminated": {"exitCode": code if code >= 0 else 128 - code, "reason": reason}}
        if injected and QUIT in str(self._pod["spec"]):
            # A pod goes on for as long as its sidecar does.
            self._say(self._status("Running", ready=False, state=ended))
            while self._name not in self._kubelet.network.told_to_end and not self._ending:
                self.changed.wait()
                self.changed.clear()
        status = self._status("Succeeded" if code == 0 else "Failed", ready=False, state=ended)
        if self._trouble == "evict":
            status |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
        self._say(status)

    def _await_end(self) -> None:
        while not self._ending:
            self.changed.wait()
            self.changed.clear()

    def _status(self, phase: str, *, ready: bool, state: Object | None = None) -> Object:
        containers = [
            {
                "name": c["name"],
                "image": c.get("image", ""),
                "ready": ready,
                "restartCount": 0,
                "state": (state if number == 0 else None) or {"running": {}},
            }
            for number, c in enumerate(self._pod["spec"]["containers"])
        ]
        condition = {"type": "Ready", "status": str(ready)}
        return {"phase": phase, "podIP": self.ip, "conditions": [condition], "containerStatuses": containers}

    def _warn(self, reason: str, message: str) -> None:
        about = {"kind": "Pod", "name": self._name, "namespace": self._namespace}
        # Its namespace may be about to go: no event is worth a failure.
        with contextlib.suppress(RefusedError):
            self._kubelet._store.create(
                {
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": {"name": f"{self._name}.{reason.lower()}", "namespace": self._namespace},
                    "involvedObject": about,
                    "reason": reason,
                    "message": message,
                    "type": "Warning",
                }
            )

    def _say(self, status: Object) -> None:
        def change(pod: Object) -> None:
            pod["status"] = status
            pod["spec"]["nodeName"] = "node-1"

        self._kubelet._store.update("Pod", self._namespace, self._name, change)


def _gates(container: dict[str, Any]) -> list[int]:
    import json

    for variable in container["env"]:
        if variable["name"] == TASK:
            return [int(json.loads(variable["value"].replace("$$", "$")).get("gate", 0))]
    return []


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _base() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
