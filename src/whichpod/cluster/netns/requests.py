"""The run's side of a node's requests: what only a process within its namespaces can do."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from whichpod.cluster.netns.node import MOST
from whichpod.model.errors import LabError

Answer = tuple[dict[str, Any], socket.socket | None]
_AT_ONCE = 100
"""Pods of a request, so that it fits into a message."""


class NodeRequests:
    """Asks the node, which does one thing after another. `theirs` goes to the node's process."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        for end in (self._ours, self.theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, 2 * MOST)
        self._turn = asyncio.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        asyncio.get_running_loop().add_reader(self._ours, self._hear)

    async def set_up(self, addresses: Sequence[str], outside: str, uplink: Mapping[str, str]) -> str:
        """The node's addresses, and what is outside of it: a network of that name at the other end of its
        uplink (links.Uplink). Says with which privileges it is there. Raises LabError."""
        request = {"op": "node", "addresses": addresses, "outside": outside, "uplink": uplink}
        answer, _ = await self._ask(request)
        return str(answer["privileges"])

    async def add_pods(self, pods: Sequence[Mapping[str, str]], gateway: str) -> None:
        """Makes namespaces, and wires them. A pod has a name, an address and the paths of its files.

        Raises LabError.
        """
        for first in range(0, len(pods), _AT_ONCE):
            await self._ask({"op": "pods", "pods": pods[first : first + _AT_ONCE], "gateway": gateway})

    async def drop_pod(self, name: str) -> None:
        """Lets go of a pod's namespaces, which end with its last process. Raises LabError."""
        await self._ask({"op": "drop", "pod": name})

    async def make_socket(
        self, pod: str = "", *, kind: str = "tcp", bind: tuple[str, int] | None = None
    ) -> socket.socket:
        """A socket that lives in a pod's network, or in the node's; not blocking.

        Raises OSError, LabError.
        """
        request = {"op": "socket", "pod": pod, "kind": kind, "bind": bind}
        _, made = await self._ask(request)
        assert made is not None
        return made

    async def _ask(self, request: Mapping[str, Any]) -> Answer:
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        answered: asyncio.Future[Answer] = loop.create_future()
        self._waiting[number] = answered
        try:
            async with self._turn:
                await loop.sock_sendall(self._ours, json.dumps({**request, "number": number}).encode())
            answer, made = await answered
        except OSError as e:
            raise LabError(f"The lab's node can't be reached: {e.strerror}.") from None
        finally:
            self._waiting.pop(number, None)
        if "error" not in answer:
            return answer, made
        if request["op"] == "socket" and answer.get("errno"):
            raise OSError(answer["errno"], answer["error"])
        raise LabError(f"The lab's node failed at {request['op']!r}: {answer['error']}.")

    def _hear(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._ours, MOST, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            asyncio.get_running_loop().remove_reader(self._ours)
            for waiting in self._waiting.values():
                _tell(waiting, ({"error": "it has ended"}, None))
            return
        answer = json.loads(data)
        made = socket.socket(fileno=descriptors[0]) if descriptors else None
        if made:
            made.setblocking(False)
        # Whoever has stopped waiting must not make others take what was meant for it.
        if not _tell(self._waiting.get(answer["number"]), (answer, made)) and made:
            made.close()

    def close(self) -> None:
        """Ends the conversation. Safe to call twice."""
        if self._ours.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._ours)
        self._ours.close()
        self.theirs.close()


def _tell(waiting: asyncio.Future[Answer] | None, answer: Answer) -> bool:
    if waiting is None or waiting.done():
        return False
    waiting.set_result(answer)
    return True
