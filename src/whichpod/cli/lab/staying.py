"""Labs that stay, in the foreground or in the background."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from whichpod.cli.clusters import local
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import ExitCode, LabError, WhichpodError

if TYPE_CHECKING:
    from whichpod.cluster.session.owner import Spec
    from whichpod.model.lab import LabStatus

Ready = Callable[["LabStatus"], None]


async def stay(spec: Spec, cluster: str, proxy_mode: str, says: Callable[[str], None], ready: Ready) -> int:
    """Runs a lab here until it is told to end. Cancelled, it ends in order; once it was up that is its usual
    end."""
    from whichpod.cluster.session.looking import told
    from whichpod.cluster.session.owner import owned, until_ended
    from whichpod.cluster.session.places import Claim
    from whichpod.cluster.session.status import status_of
    from whichpod.report.lab_terminal import event_line

    up = False
    try:
        with Claim.take(spec.name) as claim:
            async with owned(spec, local(cluster, proxy_mode), claim, says) as (desk, lab):
                up = True
                ready(status_of(desk, lab, []))

                async def follow() -> None:
                    at = len(lab.events)
                    while True:
                        await lab.events.beyond(at)
                        for event in lab.events[at:]:
                            print(event_line(told(event)), flush=True)
                        at = len(lab.events)

                following = asyncio.create_task(follow())
                try:
                    await until_ended(desk, lab)
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
    except asyncio.CancelledError:
        if not up:
            raise
    return ExitCode.OK


def leave(spec: Spec, cluster: str, proxy_mode: str, says: Callable[[str], None]) -> None:
    """Starts a lab in a process of its own and returns when it is up. Raises what keeps it from that.

    Interrupted, or killed, it takes the lab with it.
    """
    from whichpod.cluster.session.places import home, log_of

    home()
    log = os.open(log_of(spec.name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "whichpod.cli.lab.staying", cluster, proxy_mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    ) as process:
        os.close(log)
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(to_json(spec)).encode() + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                said = json.loads(line)
                if "up" in said:
                    # Until it hears that we know, it would end with us.
                    with suppress(OSError):  # one that has ended since is missed by whoever asks it
                        process.stdin.write(b"\n")
                        process.stdin.flush()
                    # It is no child of ours any more, as far as we are concerned.
                    process.returncode = 0
                    return
                if "error" in said:
                    from whichpod.cluster.session.talk import error_heard

                    raise error_heard(said["error"])
                says(said["says"])
        except BaseException:
            process.stdin.close()
            raise
    raise LabError(
        f"The lab {spec.name} did not come up: its process ended with status {process.returncode}.",
        fix=f"What it wrote is in {log_of(spec.name)}.",
    )


class _Said:
    """What is said to the command that started us, for as long as it is there."""

    def __init__(self) -> None:
        self._out = os.dup(1)

    def __call__(self, **said: object) -> None:
        with suppress(OSError):
            os.write(self._out, json.dumps(said).encode() + b"\n")


def main(cluster: str, proxy_mode: str) -> int:
    """Runs in the background the lab that stdin tells of, and says on stdout how it goes until it is up."""
    from whichpod.cluster.session.owner import Spec
    from whichpod.cluster.session.places import Claim
    from whichpod.cluster.session.talk import error_said

    spec, said = from_json(Spec, json.loads(sys.stdin.readline())), _Said()
    os.dup2(2, 1)
    try:
        with Claim.take(spec.name) as claim:
            asyncio.run(_run(spec, cluster, proxy_mode, claim, said))
    except WhichpodError as error:
        said(error=error_said(error))
        print(error, file=sys.stderr)
        return int(error.exit_code)
    except asyncio.CancelledError:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


async def _run(spec: Spec, cluster: str, proxy_mode: str, claim: Any, said: _Said) -> None:
    from whichpod.cluster.session.owner import owned, until_ended

    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def end() -> None:
        loop.remove_reader(0)
        if task and not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)

    def hear() -> None:
        if not os.read(0, 1):
            end()  # until the command that started us has heard that the lab is up, gone is gone
            return
        loop.remove_reader(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    loop.add_reader(0, hear)
    async with owned(spec, local(cluster, proxy_mode), claim, lambda text: said(says=text)) as (desk, lab):
        said(up=True)
        await until_ended(desk, lab)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
