"""The stand-in's server."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.certificates import Pair, authority, issued
from tests.kubernetes.standin.access import Access
from tests.kubernetes.standin.handler import Handler, HttpServer
from tests.kubernetes.standin.logs import Logs
from tests.kubernetes.standin.requests import Fault, Request
from tests.kubernetes.standin.resources import BUILT_IN, GATEWAY, ISTIO, REVIEW, Resource
from tests.kubernetes.standin.store import Store
from tests.kubernetes.standin.verbs import Verbs

_CONFIG = """\
apiVersion: v1
kind: Config
current-context: stand-in
contexts: [{{name: stand-in, context: {{cluster: stand-in, user: tester}}}}]
clusters: [{{name: stand-in, cluster: {{server: "{url}"}}}}]
users: [{{name: tester, user: {{token: {token}}}}}]
"""


class ApiServer:
    """Serves while it is entered. Tests read `requests`, and set `faults`, `rules` and `token`."""

    def __init__(
        self,
        *,
        version: str = "1.32",
        istio: bool = True,
        gateway: bool = False,
        validate: bool = True,
        certificates: Path | None = None,
    ) -> None:
        """`certificates`: a folder for some, so that it speaks TLS; without, it doesn't."""
        kinds = (*BUILT_IN, REVIEW, *(ISTIO if istio else ()), *(GATEWAY if gateway else ()))
        self.resources: dict[str, Resource] = {r.kind: r for r in kinds}
        self.version = version
        self.store = Store(self.resources)
        self.verbs = Verbs(self.store, version if validate else "")
        self.logs = Logs()
        self.access = Access()
        self.ca: Pair | None = None
        self.tls: ssl.SSLContext | None = None
        if certificates:
            self.ca = authority(certificates)
            pair = issued(certificates, self.ca, "apiserver")
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(pair.cert, pair.key)
            self.tls.load_verify_locations(self.ca.cert)
            self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.token = "secret-token"
        """What is accepted."""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.bookmarks_every = 5
        self.tunnels: Callable[[str, str, int], tuple[str, int] | None] = lambda *_: None
        """Where a pod's port really is, for port-forward: by namespace, pod and port."""
        self._handlers: dict[tuple[str, int], Callable[[str], tuple[int, bytes]]] = {}
        self._running = threading.Event()
        self._running.set()
        self._port = 0
        self._server: HttpServer | None = None
        self.watches: set[socket.socket] = set()
        for name in ("default", "kube-system", *(("istio-system",) if istio else ())):
            self.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    @property
    def rules(self) -> list[dict[str, Any]] | None:
        """RBAC's rules for who asks; None: everything is allowed."""
        return self.access.rules

    @rules.setter
    def rules(self, rules: list[dict[str, Any]] | None) -> None:
        self.access.rules = rules

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._port}"

    def __enter__(self) -> ApiServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.set()
        self.stop()
        self.logs.close()

    def start(self) -> None:
        """At the port that it had before, if it had one."""
        self._server = HttpServer(self, self._port)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Every connection ends."""
        if self._server:
            self._server.end()
            self._server = None

    def pause(self) -> None:
        """Takes connections and answers nothing."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    def await_running(self) -> None:
        self._running.wait()

    def drop_watches(self) -> None:
        """In the middle of a chunk."""
        for connection in list(self.watches):
            Handler.cut(connection)

    def compact(self) -> None:
        self.store.compact()

    def kubeconfig(self, directory: Path, *, token: str = "secret-token") -> Path:
        file = directory / "kubeconfig"
        text = _CONFIG.format(url=self.url, token=token)
        if self.ca:
            data = base64.b64encode(Path(self.ca.cert).read_bytes()).decode()
            text = text.replace("server:", f"certificate-authority-data: {data}, server:")
        file.write_text(text)
        return file

    def log(self, namespace: str, pod: str, text: str, container: str = "") -> None:
        self.logs.write(namespace, pod, text, container)

    def end_log(self, namespace: str, pod: str, container: str = "") -> None:
        self.logs.end(namespace, pod, container)

    def proxies(self, pod: str, port: int, handler: Callable[[str], tuple[int, bytes]]) -> None:
        """What GET .../pods/POD:PORT/proxy/PATH answers."""
        self._handlers[pod, port] = handler

    def proxied(self, pod: str, port: int) -> Callable[[str], tuple[int, bytes]] | None:
        return self._handlers.get((pod, port))

    def fault(self, request: Request) -> Fault | None:
        return next((f for f in self.faults if f.meets(request)), None)
