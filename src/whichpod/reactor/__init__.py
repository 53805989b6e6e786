"""An event loop for many RPCs on few sockets: readiness by epoll, timers in ns, plain and TLS connections.

It is smaller than asyncio on purpose: no task, future or handle stands between a socket and the HTTP/2 core,
time is read once a turn, and timers fire to some ten microseconds, which open-loop load needs.
"""

from whichpod.reactor.link import Link, Owner, Transport, connect
from whichpod.reactor.loop import Loop, Timer
from whichpod.reactor.tls import TlsLink

__all__ = ["Link", "Loop", "Owner", "Timer", "TlsLink", "Transport", "connect"]
