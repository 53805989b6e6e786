"""How Kubernetes fills in a container's environment and arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from whichpod.manifest.kinds import EnvVar

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces `$(VAR)`; an unknown VAR stays as it is written and `$$` is a dollar sign.

    Kubernetes, API reference of Container.args.
    """

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def environment(
    declared: Iterable[EnvVar],
    field: Callable[[str], str],
    given: Mapping[str, str],
    *,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The values of a container's variables, in order: each may refer to those before it.

    `field` resolves a fieldRef's path. A variable that is in `given` takes its value from there: what
    a manifest says of the cluster it runs in, the cluster knows better. `known` are those that are there
    without being declared.
    """
    values = dict(known or {})
    for variable in declared:
        if variable.name in given:
            values[variable.name] = given[variable.name]
        elif variable.field_path is not None:
            values[variable.name] = field(variable.field_path)
        else:
            values[variable.name] = expand(variable.value or "", values)
    return values
