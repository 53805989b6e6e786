"""The fast echo server: pods in a thread with a loop of its own."""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue

from whichpod.echo.binding import bracketed, listening
from whichpod.echo.fast.hub import Hub
from whichpod.echo.fast.places import Place, places
from whichpod.echo.fast.pod import Pod
from whichpod.echo.faultfile import FaultsOf
from whichpod.echo.identity import Identity
from whichpod.echo.settings import ServerSettings


class FastServer:
    """The echo service as EchoServer has it, channelz aside, for one pod or many in one process."""

    def __init__(self, settings: ServerSettings, identity: Identity) -> None:
        """Raises UsageError where the settings make no sense."""
        self._settings = settings = replace(settings, engine="fast")
        settings.check()
        self.identity = identity
        self.port = settings.port
        """The port that it listens on, once started; that of the first pod."""
        self.pods: tuple[Place, ...] = tuple(places(settings, identity))
        """Who is served and where. Ports that were 0 are known once it is started."""
        if settings.pods > 1:
            self.identity = self.pods[0].identity
        self._hub: Hub | None = None
        self._thread: threading.Thread | None = None
        self._faults_of: FaultsOf = lambda _pod: settings.faults
        self._tasks = deque[Callable[[Hub], None]]()
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """HOST:PORT that it listens on; that of the first pod."""
        return f"{bracketed(self.pods[0].host)}:{self.port}"

    def start(self) -> None:
        """Binds and serves. UsageError for bad TLS files, LabError for an address in use."""
        hub = Hub(self._settings)
        try:
            self._listen(hub)
        except BaseException:
            hub.close()
            raise
        hub.loop.on_wake = lambda: self._work(hub)
        self._hub = hub
        self._thread = threading.Thread(target=self._run, args=(hub,), name="fast-echo", daemon=True)
        self._thread.start()

    def drain(self, grace_s: float | None = None) -> None:
        """Says NOT_SERVING, sends GOAWAY, lets RPCs in flight finish within the grace, and ends. Called
        again, the shorter grace holds."""
        grace = self._settings.grace_s if grace_s is None else grace_s
        with self._lock:
            if self._hub is None:
                return
            self._ask(self._hub, lambda hub: hub.drain(int(grace * 1e9)))
        self.wait()
        with self._lock:
            if self._hub is not None:
                self._hub.close()
                self._hub = None

    def inject(self, faults_of: FaultsOf) -> int:
        """Injects other faults into the RPCs that begin from now on. Says for how many pods they differ; for
        none where it doesn't serve."""
        changed = SimpleQueue[int]()
        with self._lock:
            self._faults_of = faults_of
            if self._hub is None:
                return 0
            self._ask(self._hub, lambda hub: changed.put(hub.inject(faults_of)))
        while self._thread is not None and self._thread.is_alive():
            with contextlib.suppress(Empty):
                return changed.get(timeout=1)
        return 0

    def wait(self) -> None:
        """Waits until the server has ended."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> FastServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drain(0)

    def _listen(self, hub: Hub) -> None:
        found = []
        port = self._settings.port
        for place in self.pods:
            wanted = port if self._settings.pods_on == "addresses" else place.port
            sockets = listening(place.host, wanted)
            port = sockets[0].getsockname()[1]
            found.append(replace(place, port=port))
            hub.add(Pod(place.identity, self._settings, self._faults_of(place.identity.pod)), sockets)
        self.pods = tuple(found)
        self.port = found[0].port

    def _ask(self, hub: Hub, task: Callable[[Hub], None]) -> None:
        """Has the loop's thread do something."""
        self._tasks.append(task)
        hub.loop.wake()

    def _work(self, hub: Hub) -> None:
        while self._tasks:
            self._tasks.popleft()(hub)

    def _run(self, hub: Hub) -> None:
        while not hub.done:
            try:
                hub.loop.run()
            except Exception:
                # A bug of ours in one RPC's timer is no reason to end the others.
                traceback.print_exc(file=sys.stderr)
