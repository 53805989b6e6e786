"""The image `envoyproxy/envoy`."""

from __future__ import annotations

from whichpod.cluster.local import binaries
from whichpod.cluster.local.images.base import Context, localise
from whichpod.cluster.local.supervisor import Process

OWN = ("/etc/envoy", "/var/log/envoy")


def launch(context: Context) -> Process:
    """Starts Envoy with the container's arguments, by default with /etc/envoy/envoy.yaml."""
    given = context.argv("envoy", ["-c", "/etc/envoy/envoy.yaml"])
    argv = [localise(context.files.rewrite(a), context.address) for a in given]
    for path in context.files.root.glob("**/*"):
        if path.suffix in (".yaml", ".yml", ".json"):
            path.write_text(localise(path.read_text(encoding="utf-8"), context.address), encoding="utf-8")
    return context.run(binaries.find("envoy"), complete(argv))


def complete(argv: list[str]) -> list[str]:
    """The arguments and those that an Envoy beside others on a small machine needs."""
    added = []
    if "--disable-hot-restart" not in argv:  # else the second Envoy finds base id 0 taken
        added.append("--disable-hot-restart")
    if "--concurrency" not in argv:
        added += ["--concurrency", "1"]
    if not {"-l", "--log-level"} & set(argv):
        added += ["-l", "warning"]
    return [*argv, *added]
