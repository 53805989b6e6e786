"""The paths that scenarios in time run on: how the client reaches the pods."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whichpod.cluster.protocol import Client
from whichpod.model.codec import from_json
from whichpod.model.errors import UsageError

FILE = Path(__file__).parent / "paths.toml"
_KEYS = {"title", "manifests", "rules", "client", "plan", "args"}


@dataclass(frozen=True, slots=True)
class Way:
    """A way from the client to the pods."""

    name: str
    title: str
    client: Client
    manifests: tuple[Path, ...]
    rules: tuple[Path, ...] = ()
    """Manifests that a cell may have its own in place of: a DestinationRule, for instance."""
    plan: dict[str, Any] = field(default_factory=dict)
    """What it changes in a scenario's plan."""
    args: tuple[str, ...] = ()
    """What its echo servers are told besides."""


def read_paths(file: Path = FILE) -> dict[str, Way]:
    """The paths, by name. Raises UsageError naming the file and what is wrong in it."""
    try:
        return {
            name: _path(name, data, file.parent) for name, data in tomllib.loads(file.read_text()).items()
        }
    except OSError as e:
        raise UsageError(f"{file} can't be read: {e.strerror}.") from None
    except KeyError as e:
        raise UsageError(f"{file}: {e.args[0]} is missing.") from None
    except (tomllib.TOMLDecodeError, ValueError) as e:
        raise UsageError(f"{file}: {e}") from None
    except UsageError as e:
        raise UsageError(f"{file}: {e.message}", fix=e.fix) from None


def _path(name: str, data: dict[str, Any], folder: Path) -> Way:
    refuse_unknown(name, data, _KEYS)
    client = from_json(Client, data["client"])
    client.check()
    return Way(
        name,
        data["title"],
        client,
        tuple((folder / m).resolve() for m in data["manifests"]),
        tuple((folder / m).resolve() for m in data.get("rules", ())),
        data.get("plan", {}),
        tuple(data.get("args", ())),
    )


def refuse_unknown(what: str, data: dict[str, Any], known: set[str]) -> None:
    """Raises ValueError for a key that nobody reads."""
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{what}: {unknown[0]!r} is not known here; known are {', '.join(sorted(known))}")
