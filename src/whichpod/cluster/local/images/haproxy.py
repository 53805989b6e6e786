"""The image `haproxy`."""

from __future__ import annotations

import re

from whichpod.cluster.local import binaries
from whichpod.cluster.local.images.base import Context, localise
from whichpod.cluster.local.supervisor import Process

OWN = ("/usr/local/etc/haproxy", "/var/lib/haproxy", "/run/haproxy", "/var/run/haproxy")
_BIND_ALL = re.compile(r"^(\s*bind\s+)(?:\*|0\.0\.0\.0)?:(?=[\d$\"])", re.MULTILINE)


def launch(context: Context) -> Process:
    """Starts HAProxy in the foreground, as a single process, with the container's configuration.

    HAProxy fills in "${VAR}" itself.
    """
    given = context.argv("haproxy", ["-f", "/usr/local/etc/haproxy/haproxy.cfg"])
    argv = [context.files.rewrite(a) for a in given if a not in ("-W", "-D", "-db")]
    for path in context.files.root.glob("**/*.cfg"):
        text = bind_to(path.read_text(encoding="utf-8"), context.address)
        path.write_text(localise(text, context.address), encoding="utf-8")
    return context.run(binaries.find("haproxy"), ["-db", *argv])


def bind_to(config: str, address: str) -> str:
    """A configuration that listens on `address` where it says "any"."""
    if not address:
        return config
    return _BIND_ALL.sub(rf"\g<1>{address}:", config)
