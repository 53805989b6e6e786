"""The image `nginx`, with the conventions of the official one."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Mapping

from whichpod.cluster.local import binaries
from whichpod.cluster.local.images.base import Context, localise
from whichpod.cluster.local.supervisor import Process

OWN = ("/etc/nginx", "/var/log/nginx", "/var/cache/nginx", "/var/run", "/run", "/tmp")  # noqa: S108
_MAIN = "/etc/nginx/nginx.conf"
_TEMPLATES = "/etc/nginx/templates"
_DEFAULT_MAIN = """\
events { worker_connections 1024; }
http {
    default_type application/octet-stream;
    access_log off;
    include /etc/nginx/conf.d/*.conf;
}
"""
_LISTEN = re.compile(r"(\blisten\s+)(?:\*:|0\.0\.0\.0:)?(?=\d+(?!\d*\.)[\s;])")
_LISTEN_6 = re.compile(r"\blisten\s+\[::\]:[^;]*;")
_USER = re.compile(r"^\s*user\s+[^;]*;", re.MULTILINE)


def launch(context: Context) -> Process:
    """Starts nginx as one process in the foreground, with its files in the lab's folder."""
    context.argv("nginx", [])  # refuses other programs; what else is asked for goes into the lines below
    files = context.files
    for name, stream in (("access.log", "/dev/stdout"), ("error.log", "/dev/stderr")):
        link = files.real(f"/var/log/nginx/{name}")
        if not link.exists():
            link.symlink_to(stream)
    if not files.real("/etc/nginx/mime.types").exists():
        files.write("/etc/nginx/mime.types", "types { text/html html; }\n")
    files.real("/etc/nginx/conf.d").mkdir(exist_ok=True)
    _fill_templates(context)
    if not files.real(_MAIN).exists():
        files.write(_MAIN, _DEFAULT_MAIN)
    for path in files.real("/etc/nginx").glob("**/*.conf"):
        text = bind_to(path.read_text(encoding="utf-8"), context.address)
        path.write_text(localise(text, context.address), encoding="utf-8")
    main = files.real(_MAIN)
    # In a network of its own a process is root, be it of its user's namespace only.
    root = os.geteuid() == 0 or bool(context.standing.network)
    main.write_text(_main_directives(main.read_text(encoding="utf-8"), root), encoding="utf-8")
    return context.run(
        binaries.find("nginx"), ["-p", str(files.root), "-c", str(main), "-e", "stderr"], context.env
    )


def bind_to(config: str, address: str) -> str:
    """A configuration that listens on `address` where it says "any"."""
    if not address:
        return config
    return _LISTEN.sub(rf"\g<1>{address}:", _LISTEN_6.sub("", config))


def substitute(template: str, variables: Mapping[str, str]) -> str:
    """Fills in ${VAR} and $VAR of variables that are defined, as the official image's entry point does.

    nginx's own variables ($host) stay, unless the environment has one of that name.
    """

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, template)


def _fill_templates(context: Context) -> None:
    suffix = context.env.get("NGINX_ENVSUBST_TEMPLATE_SUFFIX", ".template")
    source = context.files.real(context.env.get("NGINX_ENVSUBST_TEMPLATE_DIR", _TEMPLATES))
    output = context.files.real(context.env.get("NGINX_ENVSUBST_OUTPUT_DIR", "/etc/nginx/conf.d"))
    variables = dict(context.env)
    if "NGINX_ENTRYPOINT_LOCAL_RESOLVERS" in variables:
        variables.setdefault("NGINX_LOCAL_RESOLVERS", context.dns)
    for template in sorted(source.glob(f"**/*{suffix}")):
        filled = output / str(template.relative_to(source)).removesuffix(suffix)
        filled.parent.mkdir(parents=True, exist_ok=True)
        filled.write_text(substitute(template.read_text(encoding="utf-8"), variables), encoding="utf-8")


def _main_directives(config: str, root: bool) -> str:
    """The main file with one process in the foreground, and with no user to change to."""
    config = _USER.sub("", config)
    for directive in ("daemon", "master_process", "pid"):
        config = re.sub(rf"^\s*{directive}\s+[^;]*;", "", config, flags=re.MULTILINE)
    lines = ["daemon off;", "master_process off;", "pid nginx.pid;"]
    if root:  # nginx wants to know whom it becomes even where it doesn't
        lines.append(f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};")
    # On one line: the line numbers in nginx's messages stay those of the manifest.
    return " ".join(lines) + " " + config
