"""What the modules of images have in common."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whichpod.cluster.local.fabric import Standing
from whichpod.cluster.local.files import Files
from whichpod.cluster.local.supervisor import Process, Supervisor
from whichpod.manifest.kinds import Container
from whichpod.model.errors import LabError

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "GRPC_TRACE", "GRPC_VERBOSITY")
_OWN_ADDRESS = re.compile(r"(?<![\d.])(?:0\.0\.0\.0|127\.0\.0\.1)(?![\d./])")


@dataclass(frozen=True, slots=True)
class Context:
    """A container that is about to start. Texts have their `$(VAR)` filled in."""

    supervisor: Supervisor
    pod: str
    slug: str
    """The pod's name, told from that of a pod that had the same before it."""
    container: Container
    address: str
    """What the container's processes bind where they say "all addresses" or localhost: the pod's IP, or its
    private address where it has a sidecar. Empty where the pod has a network of its own."""
    env: Mapping[str, str]
    command: tuple[str, ...]
    args: tuple[str, ...]
    files: Files
    dns: str
    """HOST:PORT of the cluster's DNS."""
    alone: bool
    """Whether the pod has no other container."""
    life: int = 0
    """How often it was started before."""
    standing: Standing = field(default_factory=Standing)

    @property
    def name(self) -> str:
        """The process's name, unique in the lab."""
        name = self.slug if self.alone else f"{self.slug}.{self.container.name}"
        return f"{name}.{self.life}" if self.life else name

    @property
    def title(self) -> str:
        """As a person calls it."""
        return f"pod {self.pod}" if self.alone else f"container {self.container.name} of pod {self.pod}"

    def argv(self, program: str, default: Sequence[str]) -> list[str]:
        """What the container gives to `program`, without its name; `default` when it gives nothing.

        The official images' entry points put the program's name before arguments that begin with a dash.
        Raises LabError when the container runs something else.
        """
        words = [*self.command, *self.args]
        if not words:
            return list(default)
        if not words[0].startswith("-"):
            if Path(words[0]).name != program:
                raise self.refuse(f"runs {words[0]!r}; of its image the lab knows only {program}")
            words = words[1:]
        return words

    def refuse(self, what: str, *, fix: str = "") -> LabError:
        """A LabError about this container, with file and line: `what` goes on after its name."""
        return LabError(f"{self.container.where}: the container {self.container.name} {what}.", fix=fix)

    def run(self, binary: Path, argv: Sequence[str], extra: Mapping[str, str] | None = None) -> Process:
        """Executes a program with the container's environment."""
        env = {**base_environment(self.files.root), **self.env, **(extra or {})}
        return self.supervisor.exec(
            self.name,
            [str(binary), *argv],
            title=self.title,
            env=env,
            cwd=self.files.root,
            network=self.standing.network,
        )


def localise(text: str, address: str) -> str:
    """`text` with the pod's own address for "all addresses" and localhost.

    A pod has a network of its own, where 0.0.0.0 and 127.0.0.1 mean the pod. Here they would mean the whole
    machine. Without an address the text stays as it is.
    """
    return _OWN_ADDRESS.sub(address, text) if address else text


def base_environment(home: Path) -> dict[str, str]:
    """The variables that any process of the lab gets: nothing of the user's that could change its ways."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"GRPC_VERBOSITY": "NONE", **kept, "HOME": str(home), "TMPDIR": str(home)}
