"""Any image, with a program of this machine in its place."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from whichpod.cluster.local.expand import expand
from whichpod.cluster.local.images.base import Context
from whichpod.cluster.local.supervisor import Process, without_proxies

OWN: tuple[str, ...] = ()
ANY = "0.0.0.0"


def launch(context: Context) -> Process:
    """Starts the program where the user's shell stood, with the user's environment under the container's."""
    local = context.container.local
    assert local is not None
    ports = [p.port for p in context.container.ports if p.protocol == "TCP"]
    given = {"POD_IP": context.address or context.env.get("POD_IP", ""), "POD_NAME": context.pod}
    if ports:
        given["PORT"] = str(ports[0])
    env = {**without_proxies(), "HOSTNAME": context.pod, **given, **context.env}
    argv = words(
        local.command,
        args=[context.files.rewrite(a) for a in context.args],
        env=env,
        places={"ip": context.address or ANY, "port": given.get("PORT", "")},
    )
    return context.supervisor.exec(
        context.name,
        [local.program, *argv[1:]],
        title=context.title,
        env=env,
        cwd=Path(local.folder),
        network=context.standing.network,
    )


def words(
    command: str, *, args: Sequence[str], env: Mapping[str, str], places: Mapping[str, str]
) -> list[str]:
    """The command's words: `$(VAR)` from the environment, `{ip}` and `{port}`; the container's arguments for
    the word `{args}`, or at the end where there is none."""
    found: list[str] = []
    split = shlex.split(command)
    for word in split:
        if word == "{args}":
            found += args
            continue
        for name, value in places.items():
            word = word.replace(f"{{{name}}}", value)
        found.append(expand(word, env))
    return found if "{args}" in split else [*found, *args]
