"""What a client's name leads to: the stand-in has no DNS, so tasks are told addresses instead."""

from __future__ import annotations

import dataclasses
import http.server
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.kubernetes.standin.gateway import behind
from tests.kubernetes.standin.relay import Relay
from tests.kubernetes.standin.store import Store
from whichpod.cluster.kubernetes.task import QUIT, READY, Task

_NAME = re.compile(r"(?:dns|xds):///([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.cluster\.local)?:(\d+)")


class Network:
    """Services as relays, headless ones as lists; a sidecar's part is taken by the client's own policy."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._relays: dict[tuple[str, str, int], Relay] = {}
        self._lock = threading.Lock()
        self.told_to_end: set[str] = set()
        """Pods whose client told its sidecar to end."""
        self.on_quit: Callable[[], None] = lambda: None
        self._sidecars = _Sidecars(self)

    def close(self) -> None:
        for relay in self._relays.values():
            relay.close()
        self._sidecars.close()

    def rewritten(self, pod: dict[str, Any], env: dict[str, str], gate: int) -> dict[str, str]:
        """The environment of a client, with addresses in it that hold on this machine."""
        task = Task.of_env(env)
        name = pod["metadata"]["name"]
        injected = (pod["metadata"].get("labels") or {}).get("sidecar.istio.io/inject") == "true"
        target, plan = task.target, task.plan
        if found := _NAME.fullmatch(target.address):
            service, namespace, port = found[1], found[2], int(found[3])
            document = self._store.get("Service", namespace, service)
            gateway = behind(self._store, document) if document else None
            if gateway:
                service, port = gateway
            headless = document is not None and document["spec"].get("clusterIP") == "None"
            ports = document["spec"]["ports"] if document else []
            if any(p["port"] == port and p.get("name", "").startswith("tcp") for p in ports):
                injected = False  # a sidecar balances such a port's connections, as NAT does
            if injected or headless or gateway:
                pods = self.pods(service, namespace, port)
                address = "ipv4:" + ",".join(f"{host}:{number}" for host, number in pods)
                if injected or gateway:
                    # Warm, it takes turns exactly, as a proxy does from the first RPC on.
                    warmup = max(1, plan.warmup)
                    plan = dataclasses.replace(plan, policy="round_robin", warmup=warmup)
            else:
                address = self._relay(service, namespace, port)
            target = dataclasses.replace(target, address=address)
        if task.gate:
            task = dataclasses.replace(task, gate=gate)
        env = env | dataclasses.replace(task, target=target, plan=plan).env()
        for variable, path in ((READY, "ready"), (QUIT, "quit")):
            if env.get(variable):
                env[variable] = f"{self._sidecars.url}/{path}/{name}"
        return env

    def pods(self, service: str, namespace: str, port: int) -> list[tuple[str, int]]:
        """The ready pods behind a Service's port."""
        document = self._store.get("Service", namespace, service)
        if document is None:
            return []
        name = next((p.get("name", "") for p in document["spec"]["ports"] if p["port"] == port), "")
        return [
            (endpoint["addresses"][0], int(p["port"]))
            for piece in self._store.objects(
                "EndpointSlice", namespace, {"kubernetes.io/service-name": service}
            )
            for p in piece["ports"]
            if p["name"] == name
            for endpoint in piece["endpoints"]
            if endpoint["conditions"]["ready"]
        ]

    def _relay(self, service: str, namespace: str, port: int) -> str:
        with self._lock:
            key = service, namespace, port
            if key not in self._relays:
                self._relays[key] = Relay(lambda: self.pods(*key), seed=7)
            return self._relays[key].address


class _Sidecars:
    """Where clients ask whether their sidecar is ready, and tell it to end."""

    def __init__(self, network: Network) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                _, what, pod = self.path.split("/")
                if what == "quit":
                    network.told_to_end.add(pod)
                    network.on_quit()
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def gate_of(port: int) -> Any:
    """What the API server's proxy answers for a worker's gate: what the gate answers."""

    def ask(path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.read()
        except OSError as e:
            return 502, str(e).encode()

    return ask
