"""The image `caddy`."""

from __future__ import annotations

import re

from whichpod.cluster.local import binaries
from whichpod.cluster.local.images.base import Context, localise
from whichpod.cluster.local.supervisor import Process

OWN = ("/etc/caddy", "/config", "/data", "/srv", "/usr/share/caddy")
_CONFIG = "/etc/caddy/Caddyfile"
_GLOBAL_OPTIONS = re.compile(r"\A(?:\s*#.*\n|\s+)*\{[ \t]*\n")
_DEFAULT_BIND = re.compile(r"^\s*default_bind\b", re.MULTILINE)


def launch(context: Context) -> Process:
    """Starts Caddy with the container's Caddyfile; Caddy fills in {$VAR} itself."""
    given = context.argv("caddy", ["run", "--config", _CONFIG, "--adapter", "caddyfile"])
    for path in context.files.real("/etc/caddy").glob("**/*"):
        if path.is_file() and path.suffix != ".json":
            text = bind_to(path.read_text(encoding="utf-8"), context.address)
            path.write_text(localise(text, context.address), encoding="utf-8")
    folders = {"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"}
    extra = {name: str(context.files.real(folder)) for name, folder in folders.items()}
    # Caddy's administration API is on localhost:2019; localhost is the pod's.
    extra["CADDY_ADMIN"] = f"{context.address or '127.0.0.1'}:2019"
    return context.run(binaries.find("caddy"), [context.files.rewrite(a) for a in given], extra)


def bind_to(caddyfile: str, address: str) -> str:
    """A Caddyfile whose sites listen on `address` where it doesn't say otherwise."""
    if not address:
        return caddyfile
    if _DEFAULT_BIND.search(caddyfile):
        return caddyfile
    line = f"\tdefault_bind {address}\n"
    options = _GLOBAL_OPTIONS.match(caddyfile)
    if options:
        return caddyfile[: options.end()] + line + caddyfile[options.end() :]
    return "{\n" + line + "}\n" + caddyfile
