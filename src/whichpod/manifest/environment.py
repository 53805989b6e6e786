"""Puts the texts of ConfigMaps and Secrets where containers ask for them as variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.fields import Findings
from whichpod.manifest.kinds import Container, Deployment, EnvFrom, EnvVar, KeyRef, Where

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def filled(bundle: Bundle, findings: Findings) -> Bundle:
    """The bundle with values instead of references to keys. What is missing is an error, unless optional."""
    return replace(bundle, deployments=tuple(_deployment(bundle, d, findings) for d in bundle.deployments))


def _deployment(bundle: Bundle, d: Deployment, findings: Findings) -> Deployment:
    return replace(
        d,
        containers=tuple(_container(bundle, d, c, findings) for c in d.containers),
        init_containers=tuple(_container(bundle, d, c, findings) for c in d.init_containers),
    )


def _container(bundle: Bundle, d: Deployment, c: Container, findings: Findings) -> Container:
    if not c.env_from and all(e.key is None for e in c.env):
        return c
    every: dict[str, EnvVar] = {}
    for source in c.env_from:
        every |= {e.name: e for e in _all(bundle, d, source, findings)}
    # A variable of the container's own comes later, so it beats one of the same name.
    own = tuple(v for e in c.env if (v := _one(bundle, d, e, findings)))
    return replace(c, env=(*every.values(), *own), env_from=())


def _all(bundle: Bundle, d: Deployment, source: EnvFrom, findings: Findings) -> Iterator[EnvVar]:
    held = bundle.held(source.kind, source.name, d.meta.namespace)
    if held is None:
        if not source.optional:
            _missing(findings, source.where, d, f"{source.kind} {source.name!r} for its environment")
        return
    for key, text in held.data.items():
        if _VARIABLE.fullmatch(source.prefix + key):
            yield EnvVar(source.prefix + key, _literal(text))


def _one(bundle: Bundle, d: Deployment, e: EnvVar, findings: Findings) -> EnvVar | None:
    if e.key is None:
        return e
    text = _text(bundle, d, e.key)
    if text is not None:
        return EnvVar(e.name, _literal(text))
    if not e.key.optional:
        what = f"key {e.key.key!r} in a {e.key.kind} {e.key.name!r} for its variable {e.name}"
        _missing(findings, e.key.where, d, what)
    return None


def _text(bundle: Bundle, d: Deployment, key: KeyRef) -> str | None:
    held = bundle.held(key.kind, key.name, d.meta.namespace)
    return held.data.get(key.key) if held else None


def _literal(text: str) -> str:
    """As `EnvVar.value` must say it: references in the texts of others aren't expanded."""
    return text.replace("$", "$$")


def _missing(findings: Findings, where: Where, d: Deployment, what: str) -> None:
    findings.unsupported(
        where,
        f"{d.kind} {d.meta.name}: there is no {what}.",
        fix="Give its manifest as well, or make it optional.",
    )
