"""A container's environment, as a kubelet makes it (kubernetes.io, Define Environment Variables)."""

from __future__ import annotations

import re
from typing import Any

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def environment(pod: dict[str, Any], container: dict[str, Any]) -> dict[str, str]:
    """Its variables, with $(NAME) of earlier ones put in."""
    found: dict[str, str] = {}
    for variable in container.get("env") or ():
        name, source = variable["name"], variable.get("valueFrom") or {}
        if "fieldRef" in source:
            found[name] = field_of(pod, source["fieldRef"]["fieldPath"])
        else:
            found[name] = expanded(variable.get("value", ""), found)
    annotations = pod["metadata"].get("annotations") or {}
    if index := annotations.get("batch.kubernetes.io/job-completion-index"):
        found["JOB_COMPLETION_INDEX"] = index
    return found


def expanded(text: str, known: dict[str, str]) -> str:
    """$(NAME) is a variable's value, where it is known; $$ is a dollar sign."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def field_of(pod: dict[str, Any], path: str) -> str:
    found: Any = pod
    for name in path.split("."):
        found = (found or {}).get(name)
    return str(found or "")
