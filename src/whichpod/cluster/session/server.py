"""Where an owner hears what is asked of its lab."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import traceback
from typing import Any

from whichpod.cluster.session.desk import OPERATIONS, Desk, Operation
from whichpod.cluster.session.places import Claim, down
from whichpod.cluster.session.talk import VERSION, BrokenTalkError, Talk, error_said
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import LabError, UsageError, WhichpodError
from whichpod.version import __version__

_END_S = 10.0
"""How long what is under way may take to end when the lab does."""


class Server:
    """Serves commands, each in a task of its own. `start`, then `stop`."""

    def __init__(self, claim: Claim, desk: Desk) -> None:
        self._claim = claim
        self._desk = desk
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._going_on: set[asyncio.Task[object]] = set()

    def start(self) -> None:
        """Listens. Raises LabError."""
        self._listener = self._claim.listen()
        self._accepting = asyncio.create_task(self._accept(self._listener))

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            conn, _ = await asyncio.get_running_loop().sock_accept(listener)
            task = asyncio.create_task(self._serve(Talk(conn)))
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)

    async def _serve(self, talk: Talk) -> None:
        try:
            if talk.peer_uid != os.geteuid():
                talk.say(error=error_said(LabError("The lab belongs to another user.")))
                return
            request = await talk.hear()
            if request is not None:
                await self._answer(request, talk)
        except BrokenTalkError as e:
            talk.say(error=error_said(UsageError(f"The lab does not understand what was asked: {e}.")))
        finally:
            await asyncio.wait({asyncio.create_task(talk.said())}, timeout=_END_S)
            await talk.close()

    async def _answer(self, request: dict[str, Any], talk: Talk) -> None:
        try:
            operation = _operation(request, self._desk.name)
            asked = from_json(operation.asks, request.get("asked", {}))
            job = asyncio.create_task(_done(operation, self._desk, asked, talk))
            talk.say(answer=to_json(await self._until_left(job, operation, talk)))
        except asyncio.CancelledError:
            talk.say(stopped=True)
            raise
        except WhichpodError as e:
            talk.say(error=error_said(e))
        except ValueError as e:
            talk.say(error=error_said(UsageError(f"The lab does not understand what was asked: {e}.")))
        except Exception as e:
            traceback.print_exc(file=sys.stderr)
            talk.say(error=error_said(WhichpodError(f"A bug in whichpod: {type(e).__name__}: {e}")))

    async def _until_left(self, job: asyncio.Task[object], operation: Operation, talk: Talk) -> object:
        """The job's result. A command that leaves, or says stop, ends it, or is no longer waited for."""
        if operation.goes_on:
            self._going_on.add(job)
            job.add_done_callback(self._gone_on)
        leaving = asyncio.create_task(_left(talk))
        try:
            both: set[asyncio.Task[Any]] = {job, leaving}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not job.done():
                if operation.goes_on:
                    raise asyncio.CancelledError
                job.cancel()  # what it makes of that counts: a probe still has a report
            return await job
        finally:
            leaving.cancel()
            if not operation.goes_on:
                job.cancel()
                await asyncio.gather(job, leaving, return_exceptions=True)

    def _gone_on(self, job: asyncio.Task[object]) -> None:
        self._going_on.discard(job)
        if not job.cancelled():
            job.exception()  # perhaps nobody waits for it

    async def stop(self) -> None:
        """Ends all conversations and stops to listen. Safe to call twice."""
        if self._accepting:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener:
            self._listener.close()
        for task in (*self._talks, *self._going_on):
            task.cancel()
        await asyncio.gather(*self._talks, *self._going_on, return_exceptions=True)


async def _done(operation: Operation, desk: Desk, asked: object, talk: Talk) -> object:
    return await operation.do(desk, asked, talk)


async def _left(talk: Talk) -> None:
    """Waits until the command says stop, or is gone."""
    async for said in talk.all_of_it():
        if said.get("stop"):
            return
        if isinstance(said.get("signal"), int):
            (talk.on_signal or talk.early_signals.append)(said["signal"])


def _operation(request: dict[str, Any], name: str) -> Operation:
    op, version = request.get("op", ""), request.get("version")
    if version != VERSION and op != "down":
        raise LabError(
            f"The lab {name} runs whichpod {__version__}, which does not understand this one.",
            fix=f"Use that version, or end the lab with `{down(name)}`.",
        )
    if op not in OPERATIONS:
        raise UsageError(f"The lab can't do {op!r}.")
    return OPERATIONS[op]
