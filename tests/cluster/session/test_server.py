"""The owner's socket: who may ask, what is understood, and who goes on when a command leaves."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import eventually
from whichpod.cluster.session import changes, looking  # noqa: F401  # they register operations
from whichpod.cluster.session import desk as desks
from whichpod.cluster.session.asked import Manifests, Named, Nothing
from whichpod.cluster.session.client import ask, end
from whichpod.cluster.session.desk import Desk, operation
from whichpod.cluster.session.places import Claim, connected
from whichpod.cluster.session.server import Server
from whichpod.cluster.session.talk import VERSION, Talk
from whichpod.model.errors import ExitCode, LabError, UsageError, WhichpodError


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@contextmanager
def operations() -> Iterator[None]:
    """Operations of the tests' own."""
    before = dict(desks.OPERATIONS)

    @operation("greet", Named)
    async def greet(_desk: Desk, asked: Named, talk: Talk) -> object:
        talk.say(hello=asked.name)
        return {"name": asked.name, "descriptors": len(talk.descriptors)}

    @operation("refuse", Nothing)
    async def refuse(_desk: Desk, _asked: Nothing, _talk: Talk) -> object:
        raise UsageError("No.", fix="Ask nicely.")

    @operation("stumble", Nothing)
    async def stumble(_desk: Desk, _asked: Nothing, _talk: Talk) -> object:
        raise RuntimeError("oh")

    try:
        yield
    finally:
        desks.OPERATIONS.clear()
        desks.OPERATIONS.update(before)


@asynccontextmanager
async def served() -> AsyncIterator[Desk]:
    with operations(), Claim.take("mine") as claim:
        desk = Desk("mine", Manifests(()), asyncio.get_running_loop().create_future())
        server = Server(claim, desk)
        server.start()
        try:
            yield desk
        finally:
            await server.stop()
            desk.up.cancel()


def test_an_answer_and_what_is_told_before_it() -> None:
    async def run() -> None:
        async with served():
            heard: list[tuple[str, Any]] = []
            tell = lambda kind, what: heard.append((kind, what))  # noqa: E731
            assert await ask("mine", "greet", Named("x"), told=tell) == {"name": "x", "descriptors": 0}
            assert heard == [("hello", "x")]
            many = await asyncio.gather(*(ask("mine", "greet", Named(str(n))) for n in range(20)))
            assert [a["name"] for a in many] == [str(n) for n in range(20)]

    asyncio.run(run())


def test_descriptors_come_with_a_request_and_are_not_kept() -> None:
    async def run() -> None:
        async with served():
            read, write = os.pipe()
            assert (await ask("mine", "greet", Named("x"), descriptors=(write,) * 3))["descriptors"] == 3
            os.close(write)
            await asyncio.to_thread(os.read, read, 1)  # the end of the pipe: nobody has the other end
            os.close(read)

    asyncio.run(run())


def test_errors_keep_their_kind_and_bugs_are_called_bugs(capfd: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        async with served():
            with pytest.raises(UsageError, match=r"No\.\nAsk nicely\."):
                await ask("mine", "refuse", Nothing())
            with pytest.raises(WhichpodError, match="A bug in whichpod: RuntimeError: oh") as error:
                await ask("mine", "stumble", Nothing())
            assert error.value.exit_code == ExitCode.BUG
            with pytest.raises(UsageError, match="can't do 'nope'"):
                await ask("mine", "nope", Nothing())
            with pytest.raises(UsageError, match=r"does not understand what was asked: Named\.name"):
                await ask("mine", "greet", {"name": 7})

    asyncio.run(run())
    assert "RuntimeError: oh" in capfd.readouterr().err


@pytest.mark.parametrize("line", [b"no json\n", b"[]\n", b'{"version": 99, "op": "greet"}\n', b"\xff\n"])
def test_what_makes_no_sense_is_refused(line: bytes) -> None:
    async def run() -> bytes:
        async with served():
            conn = connected("mine")
            conn.sendall(line)
            conn.setblocking(False)
            data = b""
            while chunk := await asyncio.get_running_loop().sock_recv(conn, 1000):
                data += chunk
            conn.close()
            return data

    said = json.loads(asyncio.run(run()))
    assert "error" in said
    if b"99" in line:
        assert "does not understand this one" in said["error"]["message"]


def test_a_command_that_leaves_ends_what_it_asked_for_unless_that_goes_on() -> None:
    async def run() -> None:
        ended: list[str] = []
        begun = asyncio.Event()
        may_end = asyncio.Event()

        async with served():

            async def last(_desk: Desk, asked: Named, _talk: Talk) -> object:
                begun.set()
                try:
                    await may_end.wait()
                    ended.append(f"{asked.name} finished")
                except asyncio.CancelledError:
                    ended.append(f"{asked.name} cancelled")
                    raise
                return {}

            operation("last", Named)(last)
            operation("go-on", Named, goes_on=True)(last)
            for op in ("last", "go-on"):
                begun.clear()
                task = asyncio.create_task(ask("mine", op, Named(op)))
                await asyncio.wait_for(begun.wait(), 10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await eventually(lambda: ended == ["last cancelled"], "the first one's end")
            # One that is killed says nothing more.
            begun.clear()
            conn = connected("mine")
            conn.sendall(
                json.dumps({"version": VERSION, "op": "last", "asked": {"name": "x"}}).encode() + b"\n"
            )
            await asyncio.wait_for(begun.wait(), 10)
            conn.close()
            await eventually(lambda: "x cancelled" in ended, "its end")
            may_end.set()
            await eventually(lambda: "go-on finished" in ended, "the end of what goes on")

    asyncio.run(run())


def test_other_users_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with served():
            monkeypatch.setattr(Talk, "peer_uid", property(lambda _: os.geteuid() + 1))
            with pytest.raises(LabError, match="belongs to another user"):
                await ask("mine", "greet", Named("x"))

    asyncio.run(run())


def test_the_peer_s_user_is_the_kernel_s_word() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        talk = Talk(ours)
        assert talk.peer_uid == os.geteuid()
        await talk.close()
        theirs.close()

    asyncio.run(run())


def test_the_end_of_the_lab_ends_conversations() -> None:
    async def run() -> None:
        async with served() as desk:
            waiting = asyncio.create_task(ask("mine", "status", Nothing()))
            ending = asyncio.create_task(end("mine"))
            await asyncio.wait_for(desk.ended.wait(), 10)
        with pytest.raises((LabError, asyncio.CancelledError)):
            await waiting
        await asyncio.wait_for(ending, 10)

    asyncio.run(run())
