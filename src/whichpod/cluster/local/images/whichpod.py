"""The image `whichpod`: echo pods, forked instead of executed."""

from __future__ import annotations

from whichpod.cluster.local.images.base import Context, base_environment
from whichpod.cluster.local.supervisor import Process

OWN: tuple[str, ...] = ()
FAULTS = "faults.json"
"""In a container's folder: what its server is told to do wrong, read anew on SIGHUP."""


def launch(context: Context) -> Process:
    """Starts `whichpod serve` with the container's arguments, on the pod's address."""
    words = [*context.command, *context.args]
    if words[:3] in (["python", "-m", "whichpod"], ["python3", "-m", "whichpod"]):
        words = words[3:]
    elif words[:1] == ["whichpod"]:
        words = words[1:]
    if words[:1] != ["serve"] and words:
        raise context.refuse(
            f"runs {words[0]!r}; of the image whichpod the lab runs only servers",
            fix='Give it the arguments of a server: args: ["serve", ...]',
        )
    # In a container the host's name is the pod's; here all pods share the machine's.
    names = {
        "HOSTNAME": context.pod,
        "POD_NAME": context.pod,
        "WHICHPOD_FAULTS": str(context.files.root / FAULTS),
    }
    env = {**base_environment(context.files.root), **names, **context.env}
    payload = {"args": [context.files.rewrite(a) for a in words[1:]], "host": context.address or "0.0.0.0"}
    return context.supervisor.fork(
        context.name, "echo", payload, title=context.title, env=env, network=context.standing.network
    )
