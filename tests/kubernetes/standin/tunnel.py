"""Port-forward over a WebSocket: channel 0 carries data, channel 1 errors, each begun by the port's number."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import threading
from typing import TYPE_CHECKING

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping
from wsproto.utilities import LocalProtocolError

from tests.kubernetes.standin.requests import Place
from tests.kubernetes.standin.status import RefusedError, not_found

if TYPE_CHECKING:
    from tests.kubernetes.standin.handler import Handler

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""
_CREATES = (1, 35)
"""Kubernetes from which a WebSocket needs the right that SPDY has always needed."""


def tunnel(handler: Handler, place: Place) -> None:
    """Serves one, to its end."""
    request = handler.request_now
    if handler.api.store.get("Pod", place.namespace, place.name) is None:
        raise not_found("pods", place.name)
    if request.headers.get("upgrade", "").lower() != "websocket":
        raise RefusedError(400, "BadRequest", "Upgrade request required")
    version = tuple(map(int, handler.api.version.split(".")))
    if version >= _CREATES and not handler.api.access.allowed(
        "create", "", "pods", place.namespace, place.name, "portforward"
    ):
        raise RefusedError(403, "Forbidden", "unable to upgrade the connection without the right to create")
    port = int(request.query["ports"])
    accept = hashlib.sha1(request.headers["sec-websocket-key"].encode() + _GUID.encode()).digest()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    wanted = request.headers.get("sec-websocket-protocol", "")
    if wanted:
        head += f"Sec-WebSocket-Protocol: {wanted.split(',')[0].strip()}\r\n"
    head += f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n\r\n"
    handler.wfile.write(head.encode())
    handler.wfile.flush()
    _relay(handler.connection, handler.api.tunnels(place.namespace, place.name, port), port)
    handler.close_connection = True


def _relay(client: socket.socket, where: tuple[str, int] | None, port: int) -> None:
    web = Connection(ConnectionType.SERVER)
    lock = threading.Lock()

    def send(channel: int, data: bytes) -> None:
        # After a farewell nothing can be sent any more.
        with lock, contextlib.suppress(OSError, LocalProtocolError):
            client.sendall(web.send(BytesMessage(data=bytes([channel]) + data)))

    for channel in (0, 1):
        send(channel, port.to_bytes(2, "little"))
    try:
        pod = socket.create_connection(where) if where else None
    except OSError:
        pod = None
    if pod is None:
        send(1, f"error forwarding port {port} to pod: connection refused".encode())
        return
    back = threading.Thread(target=_back, args=(pod, client, send), daemon=True)
    back.start()
    begins = True
    try:
        while data := client.recv(65536):
            web.receive_data(data)
            for event in web.events():
                if isinstance(event, BytesMessage):
                    # A message may come in parts; the channel is said in the first.
                    pod.sendall(bytes(event.data)[1 if begins else 0 :])
                    begins = event.message_finished
                elif isinstance(event, Ping):
                    with lock:
                        client.sendall(web.send(event.response()))
                elif isinstance(event, CloseConnection):
                    with lock:
                        client.sendall(web.send(event.response()))
                    return
    except OSError:
        return
    finally:
        with contextlib.suppress(OSError):
            pod.shutdown(socket.SHUT_RDWR)
        back.join()
        pod.close()


def _back(pod: socket.socket, client: socket.socket, send: object) -> None:
    assert callable(send)
    with contextlib.suppress(OSError):
        while data := pod.recv(65536):
            send(0, data)
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
