"""The owner of a lab: runs it and serves commands until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from whichpod.cluster.local.lab import LocalLab
from whichpod.cluster.protocol import LiveCluster
from whichpod.cluster.session import changes, looking, running  # noqa: F401  # they register operations
from whichpod.cluster.session.asked import Manifests
from whichpod.cluster.session.desk import Desk
from whichpod.cluster.session.places import Claim
from whichpod.cluster.session.reading import read
from whichpod.cluster.session.server import Server
from whichpod.model.errors import LabError, WhichpodError


@dataclass(frozen=True, slots=True)
class Spec:
    """A lab to be started."""

    name: str
    manifests: Manifests
    ready_timeout_s: float = 30.0


@asynccontextmanager
async def owned(
    spec: Spec, place: LiveCluster, claim: Claim, says: Callable[[str], None]
) -> AsyncIterator[tuple[Desk, LocalLab]]:
    """A lab in `place` that is up and listens to commands, when entered; nothing is left of it afterwards.

    Raises what keeps it from coming up.
    """
    bundle = read(spec.manifests)
    desk = Desk(spec.name, spec.manifests, asyncio.get_running_loop().create_future())
    desk.up.add_done_callback(lambda f: f.cancelled() or f.exception())
    server = Server(claim, desk)
    server.start()
    try:
        async with place.live(bundle, progress=says, ready_timeout_s=spec.ready_timeout_s) as lab:
            assert isinstance(lab, LocalLab)
            desk.up.set_result(lab)
            yield desk, lab
    except BaseException as error:
        if not desk.up.done():
            down = LabError(f"The lab {spec.name} did not come up.")
            desk.up.set_exception(error if isinstance(error, WhichpodError) else down)
        raise
    finally:
        await server.stop()


async def until_ended(desk: Desk, lab: LocalLab) -> None:
    """Waits until somebody asks for the end. Raises LabError where the lab breaks."""
    ended = asyncio.create_task(desk.ended.wait())
    try:
        both: set[asyncio.Future[Any]] = {ended, lab.broken}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if lab.broken.done():
            lab.broken.result()
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
