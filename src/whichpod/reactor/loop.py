"""The loop: who waits for what, and when which timer is due."""

from __future__ import annotations

import contextlib
import heapq
import os
import select
import time
from collections.abc import Callable

Ready = Callable[[int], None]
"""Told the events of a descriptor."""

_epoll = getattr(select, "epoll", None)
# poll(2) names the events alike; it stands in where there is no epoll.
READ = select.EPOLLIN if _epoll else select.POLLIN
WRITE = select.EPOLLOUT if _epoll else select.POLLOUT
BROKEN = (select.EPOLLERR | select.EPOLLHUP) if _epoll else (select.POLLERR | select.POLLHUP)

_MS = 1_000_000
_FINE_NS = 3 * _MS
"""A timer this near is waited for by select(2), whose timeout is in us; epoll's is in ms, rounded up."""
_REST_NS = 2 * _MS
"""What epoll leaves to select of a longer wait: it comes back up to a ms late, and a little more."""
_MOST_SELECTABLE = 1_024
_LONGEST_S = 3_600.0
_FEW_TIMERS = 1_024


class Timer:
    """A call at a time. It is ordered by that time."""

    __slots__ = ("_order", "call", "when")

    def __init__(self, when: int, order: int, call: Callable[[], None]) -> None:
        self.when = when
        self._order = order
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It won't be called. Too late is no fault."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return (self.when, self._order) < (other.when, other._order)


class Loop:
    """One thread's loop. Only `wake` may be called from another thread or a signal handler."""

    def __init__(self) -> None:
        self.now = time.monotonic_ns()
        """Monotonic time in ns, read after each wait. `time.monotonic_ns()` is the true one."""
        self.lag_ns = 0
        """How late the last timer was called."""
        self._poll: select.epoll | select.poll = _epoll() if _epoll else select.poll()
        self._scale = 1.0 if _epoll else 1_000.0
        self._fine = self._poll.fileno() if _epoll else -1  # type: ignore[union-attr]
        if self._fine >= _MOST_SELECTABLE:
            self._fine = -1
        self._ready: dict[int, Ready] = {}
        self._timers: list[Timer] = []
        # With more of them, cancelled ones are looked for: of RPCs with a deadline of an hour that take a ms
        # each, there would be millions.
        self._many_timers = _FEW_TIMERS
        self._made = 0
        self._soon: list[Callable[[], None]] = []
        self._running = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake_read, READ, self._woken)
        self.on_wake: Callable[[], None] = lambda: None
        """Called in the loop's thread after `wake`."""

    # Descriptors.

    def watch(self, fd: int, events: int, ready: Ready) -> None:
        """Calls `ready(events)` each turn in which the descriptor is ready (level-triggered)."""
        self._ready[fd] = ready
        self._poll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Waits for other events of a watched descriptor."""
        self._poll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        """Forgets a descriptor, before it is closed."""
        if self._ready.pop(fd, None) is not None:
            with contextlib.suppress(OSError):
                self._poll.unregister(fd)

    # Time.

    def at(self, when: int, call: Callable[[], None]) -> Timer:
        """Calls once at `when` (monotonic ns), or right after this turn where that is past."""
        self._made += 1
        timer = Timer(when, self._made, call)
        heapq.heappush(self._timers, timer)
        if len(self._timers) > self._many_timers:
            self._drop_cancelled()
        return timer

    def after(self, ns: int, call: Callable[[], None]) -> Timer:
        """Calls once so many ns from now."""
        return self.at(time.monotonic_ns() + ns, call)

    def soon(self, call: Callable[[], None]) -> None:
        """Calls once at the end of this turn, when every descriptor that is ready has been served."""
        self._soon.append(call)

    # Running.

    def run(self) -> None:
        """Runs until `stop`. What a callback raises ends it too."""
        self._running = True
        poll, ready, timers = self._poll, self._ready, self._timers
        while self._running:
            timeout = self._timeout()
            if 0 < timeout < _FINE_NS and self._fine >= 0:
                found = poll.poll(0)
                if not found:
                    select.select((self._fine,), (), (), timeout / 1e9)
                    found = poll.poll(0)
            elif timeout < 0:
                found = poll.poll(_LONGEST_S * self._scale)
            else:
                # Only so far that select can wait for the rest.
                coarse = timeout - _REST_NS if timeout and self._fine >= 0 else timeout
                found = poll.poll(coarse / 1e9 * self._scale)
            self.now = time.monotonic_ns()
            for fd, events in found:
                call = ready.get(fd)
                if call is not None:
                    call(events)
            if timers and timers[0].when <= self.now:
                self._fire()
            while self._soon:
                due, self._soon = self._soon, []
                for one in due:
                    one()

    def stop(self) -> None:
        """Ends `run` after this turn. To be called in the loop's thread."""
        self._running = False

    def wake(self) -> None:
        """Has the loop call `on_wake`. From any thread or signal handler."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def close(self) -> None:
        """Gives its own descriptors back; those of others are theirs to close."""
        self._ready.clear()
        self._timers.clear()
        if _epoll:
            self._poll.close()  # type: ignore[union-attr]
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _woken(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4_096)
        self.on_wake()

    def _timeout(self) -> int:
        """Ns to wait: 0 not at all, -1 until something happens."""
        timers = self._timers
        while timers and timers[0].call is None:
            heapq.heappop(timers)
        if self._soon:
            return 0
        return max(0, timers[0].when - time.monotonic_ns()) if timers else -1

    def _drop_cancelled(self) -> None:
        """Costs little for each timer made: next time is when there are twice as many as are left."""
        self._timers[:] = [timer for timer in self._timers if timer.call is not None]
        heapq.heapify(self._timers)
        self._many_timers = max(_FEW_TIMERS, 2 * len(self._timers))

    def _fire(self) -> None:
        timers = self._timers
        # Those that are due now; what they set for now comes next turn, so that descriptors get theirs.
        until = time.monotonic_ns()
        due: list[Timer] = []
        while timers and timers[0].when <= until:
            due.append(heapq.heappop(timers))
        left = iter(due)
        try:
            for timer in left:
                if timer.call is not None:
                    call, timer.call = timer.call, None
                    self.lag_ns = until - timer.when
                    call()
        finally:
            # Where one raised: the others come when `run` is called again.
            for timer in left:
                heapq.heappush(timers, timer)
