"""A command's end of a conversation with a lab's owner."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

from whichpod.cluster.session.places import connected, down, until_gone
from whichpod.cluster.session.talk import VERSION, BrokenTalkError, Talk, error_heard
from whichpod.model.codec import to_json
from whichpod.model.errors import LabError

Told = Callable[[str, Any], None]
"""Is told what happens meanwhile: its kind, and what it is."""


async def ask(
    name: str,
    op: str,
    asked: object,
    *,
    told: Told | None = None,
    descriptors: Sequence[int] = (),
    begun: Callable[[Talk], None] | None = None,
) -> Any:
    """Asks a lab for something and returns the answer, as JSON values.

    `begun` is given the conversation, to say more in it. Cancelled, it asks the lab to stop, and still
    returns an answer where there is one. Raises what the operation raises, and LabError where there is no
    such lab or it ends.
    """
    conn = connected(name)
    request = {"version": VERSION, "op": op, "asked": to_json(asked)}
    if descriptors:
        socket.send_fds(conn, [json.dumps(request).encode() + b"\n"], list(descriptors))
    talk = Talk(conn)
    try:
        if not descriptors:
            talk.say(**request)
        if begun:
            begun(talk)
        return await _answer(name, talk, told)
    finally:
        await talk.close()


async def end(name: str) -> None:
    """Ends a lab and returns when nothing is left of it. Raises LabError where there is none."""
    conn = connected(name)
    talk = Talk(conn)
    try:
        talk.say(version=VERSION, op="down")
        with contextlib.suppress(BrokenTalkError):
            async for said in talk.all_of_it():
                if "error" in said:
                    raise error_heard(said["error"])
    finally:
        await talk.close()
    await asyncio.to_thread(until_gone, name)


async def _answer(name: str, talk: Talk, told: Told | None) -> Any:
    hearing = asyncio.create_task(_heard(name, talk, told))
    try:
        await asyncio.wait({hearing})
    except asyncio.CancelledError:
        talk.say(stop=True)
        await asyncio.wait({hearing})
    finally:
        if not hearing.done():
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
    return hearing.result()


async def _heard(name: str, talk: Talk, told: Told | None) -> Any:
    with contextlib.suppress(BrokenTalkError):
        async for said in talk.all_of_it():
            if "answer" in said:
                return said["answer"]
            if "error" in said:
                raise error_heard(said["error"])
            if "stopped" in said:
                raise asyncio.CancelledError
            for kind, what in said.items():
                if told:
                    told(kind, what)
    raise LabError(
        f"The lab {name} has ended meanwhile.", fix=f"Whatever is left of it goes with `{down(name)}`."
    )
