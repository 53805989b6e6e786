"""One connection to the stand-in."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.kubernetes.standin.requests import Fault, Place, Request, place_of
from tests.kubernetes.standin.selectors import by_fields, by_labels
from tests.kubernetes.standin.status import RefusedError, not_found
from tests.kubernetes.standin.store import Happened
from tests.kubernetes.standin.tunnel import tunnel

if TYPE_CHECKING:
    from tests.kubernetes.standin.server import ApiServer


VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, api: ApiServer, port: int) -> None:
        self.api = api
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)
        if api.tls:
            # The handshake is the connection's own thread's.
            self.socket = api.tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            Handler.cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that are cut on purpose say so in the client."""


class _CutError(Exception):
    """The connection ends here."""


class Handler(BaseHTTPRequestHandler):
    server: HttpServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @staticmethod
    def cut(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    @property
    def api(self) -> ApiServer:
        return self.server.api

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = self.rfile.read(int(headers.get("content-length") or 0))
        request = Request.of(self.command, self.path, headers, raw)
        self.api.requests.append(request)
        self.api.await_running()
        self.request_now = request
        self.mute = False
        try:
            fault = self.api.fault(request)
            if fault:
                self._fail(fault)
            if headers.get("authorization") != f"Bearer {self.api.token}" and not self._certified():
                raise RefusedError(401, "Unauthorized", "Unauthorized")
            self._route(request)
        except RefusedError as e:
            retry = {"Retry-After": str(e.retry_after)} if e.retry_after is not None else {}
            self._json(e.code, e.status, retry)
        except (_CutError, OSError):
            self.close_connection = True
            self.cut(self.connection)

    def _certified(self) -> bool:
        """Whether the client has a certificate of the server's authority."""
        return isinstance(self.connection, ssl.SSLSocket) and bool(self.connection.getpeercert())

    def _fail(self, fault: Fault) -> None:
        if fault.do == "status":
            raise fault.error
        if fault.do == "slow":
            time.sleep(fault.seconds)
        elif fault.do == "hang":
            with contextlib.suppress(OSError):
                self.connection.recv(1)  # until the client gives up
            raise _CutError
        elif fault.do == "drop-mid":
            self.wfile.write(
                b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"kind"'
            )
            raise _CutError
        elif fault.do == "drop":
            raise _CutError
        elif fault.do == "drop-after":
            self.mute = True

    def _route(self, request: Request) -> None:
        root = re.fullmatch(r"/(api|apis/[^/]+)/(v[^/]+)/?", request.path)
        if request.path.rstrip("/") == "/version":
            major, minor = self.api.version.split(".")
            said = {"major": major, "minor": f"{minor}+", "gitVersion": f"v{self.api.version}.4"}
            self._json(200, said)
        elif request.path == "/readyz":
            self._bytes(200, b"ok", "text/plain")
        elif request.path.rstrip("/") == "/api":
            self._json(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif request.path.rstrip("/") == "/apis":
            self._json(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()})
        elif root:
            self._discovery(root[1], root[2])
        else:
            self._resource(request, place_of(request.path, self.api.resources))

    def _resource(self, request: Request, place: Place) -> None:
        if place.resource.kind == "SelfSubjectAccessReview":
            self._json(201, self.api.access.review(request.body))
            return
        self.api.access.check(request, place)
        if place.subresource == "log":
            self._log(request, place)
        elif place.subresource == "proxy":
            self._proxy(request, place)
        elif place.subresource == "portforward":
            request.status = 101
            tunnel(self, place)
        elif request.query.get("watch") == "true" and not place.name:
            self._watch(request, place)
        else:
            self._json(*self.api.verbs.answer(request, place))

    def _groups(self) -> list[dict[str, Any]]:
        found: dict[str, list[str]] = {}
        for resource in self.api.resources.values():
            if resource.group:
                known = found.setdefault(resource.group, [])
                known += [v for v in resource.versions if v not in known]
        return [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{v}", "version": v} for v in versions],
                "preferredVersion": {"groupVersion": f"{group}/{versions[0]}", "version": versions[0]},
            }
            for group, versions in found.items()
        ]

    def _discovery(self, root: str, version: str) -> None:
        group = root.partition("/")[2]
        found = [
            {
                "name": r.plural,
                "singularName": "",
                "namespaced": r.namespaced,
                "kind": r.kind,
                "verbs": VERBS,
            }
            for r in self.api.resources.values()
            if r.group == group and version in r.versions
        ]
        if not found:
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        name = f"{group}/{version}" if group else version
        self._json(200, {"kind": "APIResourceList", "groupVersion": name, "resources": found})

    def _log(self, request: Request, place: Place) -> None:
        pod = self.api.store.get("Pod", place.namespace, place.name)
        if pod is None:
            raise not_found("pods", place.name)
        container = request.query.get("container") or pod["spec"]["containers"][0]["name"]
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            waiting = (status.get("state") or {}).get("waiting")
            if status["name"] != container:
                continue
            if request.query.get("previous") == "true" and not (status.get("lastState") or {}).get(
                "terminated"
            ):
                raise RefusedError(
                    400,
                    "BadRequest",
                    f'previous terminated container "{container}" in pod "{place.name}" not found',
                )
            if waiting and request.query.get("previous") != "true":
                raise RefusedError(
                    400,
                    "BadRequest",
                    f'container "{container}" in pod "{place.name}" is waiting to start: {waiting["reason"]}',
                )
        if request.query.get("follow") != "true":
            text = self.api.logs.read(place.namespace, place.name, container)
            if tail := int(request.query.get("tailLines") or 0):
                text = "".join(text.splitlines(keepends=True)[-tail:])
            self._bytes(200, text.encode(), "text/plain")
            return
        self._head_of_stream("text/plain")
        for piece in self.api.logs.follow(place.namespace, place.name, container):
            self._chunk(piece.encode())
        self._last_chunk()

    def _proxy(self, request: Request, place: Place) -> None:
        if self.api.store.get("Pod", place.namespace, place.name) is None:
            raise not_found("pods", place.name)
        handler = self.api.proxied(place.name, int(place.port or 0))
        if handler is None:
            raise RefusedError(
                503,
                "ServiceUnavailable",
                "error trying to reach service: dial tcp: connect: connection refused",
            )
        query = self.path.partition("?")[2]
        code, body = handler(f"/{place.rest}" + (f"?{query}" if query else ""))
        self._bytes(code, body, "text/plain")

    def _watch(self, request: Request, place: Place) -> None:
        matches = _Matches(request, place)
        store = self.api.store
        version = request.query.get("resourceVersion", "")
        deadline = time.monotonic() + float(request.query.get("timeoutSeconds") or 300)
        # A list as a stream (kubernetes.io, API Concepts, Streaming lists).
        listing = request.query.get("sendInitialEvents") == "true"
        with store.changed:
            if version in ("", "0") or listing:
                at = store.version
                first = [matches.event("ADDED", d) for d in store.objects(place.resource.kind) if matches(d)]
            else:
                at, first = int(version), []
                store.since(at)
        self._head_of_stream("application/json")
        self.api.watches.add(self.connection)
        server, sent = self.server, 0
        try:
            for event in first:
                self._line(event)
            if listing:
                self._line(matches.bookmark(at, {"k8s.io/initial-events-end": "true"}))
            while time.monotonic() < deadline and server is self.server:
                with store.changed:
                    try:
                        found = store.since(at)
                    except RefusedError as e:
                        self._line({"type": "ERROR", "object": e.status})
                        return
                    if not found:
                        store.changed.wait(0.2)
                        found = store.since(at) if at >= store.oldest else []
                for happened in found:
                    at = happened.version
                    if happened.key[0] == place.resource.kind:
                        for event in matches.of(happened):
                            self._line(event)
                            sent += 1
                        if (
                            request.query.get("allowWatchBookmarks") == "true"
                            and sent % self.api.bookmarks_every == 0
                        ):
                            self._line(matches.bookmark(at))
                self._chunk(b"")
            self._last_chunk()
        finally:
            self.api.watches.discard(self.connection)

    # Writing

    def _json(self, code: int, document: object, headers: dict[str, str] | None = None) -> None:
        self._bytes(code, json.dumps(document).encode(), "application/json", headers)

    def _bytes(self, code: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.request_now.status = code
        if self.mute:
            raise _CutError
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _head_of_stream(self, kind: str) -> None:
        self.request_now.status = 200
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _line(self, event: object) -> None:
        self._chunk(json.dumps(event).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        """Of nothing: only looks whether the client is still there."""
        if data:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        elif _gone(self.connection):
            raise _CutError

    def _last_chunk(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


class _Matches:
    """What a watch is about."""

    def __init__(self, request: Request, place: Place) -> None:
        self._place = place
        self._labels = by_labels(request.query.get("labelSelector", ""))
        self._fields = by_fields(request.query.get("fieldSelector", ""))

    def __call__(self, document: dict[str, Any]) -> bool:
        namespace = self._place.namespace
        if namespace and document["metadata"].get("namespace", "") != namespace:
            return False
        return self._labels(document) and self._fields(document)

    def of(self, happened: Happened) -> list[dict[str, Any]]:
        now = happened.type != "DELETED" and self(happened.document)
        then = happened.before is not None and self(happened.before)
        if happened.type == "DELETED":
            then = self(happened.document)
        if now:
            return [self.event("MODIFIED" if then else "ADDED", happened.document)]
        return [self.event("DELETED", happened.document)] if then else []

    def event(self, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "object": {**document, "apiVersion": self._place.api_version}}

    def bookmark(self, version: int, annotations: dict[str, str] | None = None) -> dict[str, Any]:
        kind, api = self._place.resource.kind, self._place.api_version
        metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return {"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api, "metadata": metadata}}


def _gone(connection: socket.socket) -> bool:
    try:
        # Past TLS: whatever a client says during a watch is its farewell.
        said = socket.socket.recv(connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return said == b"" or isinstance(connection, ssl.SSLSocket)
    except BlockingIOError:
        return False
    except OSError:
        return True
