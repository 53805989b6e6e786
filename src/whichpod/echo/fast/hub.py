"""The listeners and connections of a server, in one loop."""

from __future__ import annotations

import errno
import socket
from typing import Any

from whichpod.echo.fast.conn import Conn
from whichpod.echo.fast.pod import Pod
from whichpod.echo.fast.tls import context
from whichpod.echo.faultfile import FaultsOf
from whichpod.echo.settings import ServerSettings
from whichpod.reactor import Loop
from whichpod.reactor.loop import READ
from whichpod.wire import Limits
from whichpod.wire.messages import PREFIX_SIZE

MIB = 1 << 20
STREAMS = 1_000
"""Offered to a client at a time. Beyond that clients wait, or connect again, as they would not with grpcio's
server, which has no limit."""
AT_ONCE = 64
"""Connections accepted in a turn."""
PAUSE_NS = 100_000_000
"""Without a descriptor left, accepting rests for so long."""
_NONE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Hub:
    """Pods, and whoever is connected to them. All but `Loop.wake` belongs to the loop's thread."""

    def __init__(self, settings: ServerSettings) -> None:
        """Raises UsageError for TLS files that can't be used."""
        self.tls = context(settings)
        self.loop = Loop()
        self.most = settings.message_bytes
        """Size of a message, in bytes, at most."""
        body = self.most + PREFIX_SIZE
        self.limits = Limits(
            streams=settings.max_concurrent_streams or STREAMS,
            stream_window=MIB,
            connection_window=4 * MIB,
            body=body,
            bodies=max(64 * MIB, 4 * body),
        )
        self.age_ns = int(settings.max_connection_age_s * 1e9)
        self.age_grace_ns = int(settings.max_connection_age_grace_s * 1e9)
        self.conns: set[Conn] = set()
        self._listeners: list[_Listener] = []
        self._pods: list[Pod] = []
        self.draining = False
        """Health says NOT_SERVING, and the end is near."""

    def add(self, pod: Pod, sockets: list[socket.socket]) -> None:
        """A pod, and where it listens."""
        self._pods.append(pod)
        self._listeners += [_Listener(self, pod, sock) for sock in sockets]

    def forget(self, conn: Conn) -> None:
        """A connection is over."""
        self.conns.discard(conn)
        if self.done:
            self.loop.stop()

    def inject(self, faults_of: FaultsOf) -> int:
        """Injects other faults into the RPCs that begin from now on. Says for how many pods they differ."""
        changed = {pod for pod in self._pods if pod.inject(faults_of(pod.identity.pod))}
        for conn in self.conns:
            if conn.pod in changed:
                conn.look_again()
        return len(changed)

    def drain(self, grace_ns: int) -> None:
        """Health says NOT_SERVING, clients get GOAWAY, RPCs go on for that long at most; then the loop ends.
        Again: the shorter time holds."""
        self.draining = True
        for pod in self._pods:
            pod.leave()
        self._close_listeners()
        for conn in list(self.conns):
            conn.drain()
        for conn in list(self.conns):
            conn.end_watches()
        self.loop.after(grace_ns, self._cut)
        if self.done:
            self.loop.stop()

    @property
    def done(self) -> bool:
        """Drained, and the last connection is gone."""
        return self.draining and not self.conns

    def close(self) -> None:
        """Ends all that is still there."""
        self._close_listeners()
        for conn in list(self.conns):
            conn.close()
        self.loop.close()

    def _cut(self) -> None:
        for conn in list(self.conns):
            conn.cut()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


class _Listener:
    __slots__ = ("_hub", "_pod", "_sock")

    def __init__(self, hub: Hub, pod: Pod, sock: socket.socket) -> None:
        self._hub, self._pod, self._sock = hub, pod, sock
        self._watch()

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._hub.loop.unwatch(self._sock.fileno())
            self._sock.close()

    def _watch(self) -> None:
        if self._sock.fileno() >= 0:
            self._hub.loop.watch(self._sock.fileno(), READ, self._accept)

    def _accept(self, _events: int) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NONE_LEFT:
                    self._hub.loop.unwatch(self._sock.fileno())
                    self._hub.loop.after(PAUSE_NS, self._watch)
                    return
                continue  # the client is gone already (ECONNABORTED and the like, accept(2))
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Conn(self._hub, self._pod, sock, peer_name(address))


def peer_name(address: Any) -> str:
    """A client's address as gRPC writes it: ipv4:10.0.0.1:4711, ipv6:[::1]:4711."""
    host, port = address[:2]
    if ":" not in host:
        return f"ipv4:{host}:{port}"
    plain = host.removeprefix("::ffff:")
    return f"ipv4:{plain}:{port}" if "." in plain else f"ipv6:[{host}]:{port}"
