"""A command in a lab with this terminal, or with this process's input and output."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whichpod.cluster.session.asked import Program

_CHUNK = 1 << 16
_LAST_WORDS_S = 1.0
"""How long the terminal of a program that has ended is listened to: something that it has started may have it
still."""


def passed(name: str, program: Program) -> int:
    """Runs it with our own stdin, stdout and stderr; signals are passed on to it. Returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return asyncio.run(_run(name, program, (0, 1, 2)))


def attached(name: str, program: Program) -> int:
    """Runs it with a terminal of its own, which is shown on ours. Returns its exit status."""
    ours, theirs = os.openpty()
    try:
        _same_size(theirs)
        with _raw():
            return asyncio.run(_relayed(name, program, ours, theirs))
    finally:
        os.close(ours)


async def _run(name: str, program: Program, descriptors: tuple[int, int, int]) -> int:
    from whichpod.cluster.session.client import ask
    from whichpod.cluster.session.talk import Talk

    loop, talks, early = asyncio.get_running_loop(), list[Talk](), list[int]()

    def pass_on(number: int) -> None:
        for talk in talks:
            talk.say(signal=number)
        if not talks:
            early.append(number)

    def begun(talk: Talk) -> None:
        talks.append(talk)
        for number in early:
            talk.say(signal=number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        loop.add_signal_handler(number, pass_on, int(number))
    answer: dict[str, Any] = await ask(name, "exec", program, descriptors=descriptors, begun=begun)
    code = int(answer["code"])
    return code if code >= 0 else 128 - code


async def _relayed(name: str, program: Program, ours: int, theirs: int) -> int:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def shown() -> None:
        try:
            data = os.read(ours, _CHUNK)
        except OSError:  # EIO: nobody has the other end any more
            data = b""
        if data:
            _write(1, data)
        else:
            loop.remove_reader(ours)
            ended.set()

    def typed() -> None:
        data = os.read(0, _CHUNK)
        if data:
            _write(ours, data)
        else:
            loop.remove_reader(0)

    loop.add_signal_handler(signal.SIGWINCH, lambda: _same_size(ours))
    loop.add_reader(ours, shown)
    loop.add_reader(0, typed)
    try:
        running = asyncio.create_task(_run(name, program, (theirs, theirs, theirs)))
        await asyncio.sleep(0)  # by now the descriptors are sent
        os.close(theirs)
        code = await running
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await ended.wait()
        return code
    finally:
        loop.remove_reader(ours)
        loop.remove_reader(0)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _same_size(terminal: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Our terminal passes on what is typed as it is, Ctrl-C included."""
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
