"""A scenario in time: steps, load, questions, and the paths that it runs on. A folder each, like a row's."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from whichpod.cluster.protocol import Client
from whichpod.judge.answers import asked
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import GRPCIO, served_by, with_args
from whichpod.model.codec import from_json, to_json
from whichpod.model.errors import UsageError
from whichpod.model.plan import Plan
from whichpod.model.question import Condition, Question, parse_condition
from whichpod.scenarios.dynamic.paths import Way, read_paths, refuse_unknown
from whichpod.scenarios.dynamic.steps import Step, read_step

BUILT_IN = Path(__file__).parent
START_S = 3.0
"""About what it takes to start and end a lab, beside the load."""
_KEYS = {"title", "order", "why", "load", "steps", "questions", "cells", "args", "clients", "alone"}
_CELL_KEYS = {"path", "name", "title", "rules", "manifests", "plan", "args", "expect", "because", "client"}
_PLAN: dict[str, Any] = {"requests": None, "deadline_s": 1.0, "timeline_s": 0.1, "warmup": 1}


@dataclass(frozen=True, slots=True)
class DynamicCell:
    """One scenario on one path."""

    scenario: DynamicScenario
    name: str
    """SCENARIO/PATH, or SCENARIO/VARIANT."""
    way: Way
    title: str
    client: Client
    plan: Plan
    manifests: tuple[Path, ...]
    args: tuple[str, ...]
    expect: tuple[Condition, ...]
    because: str

    def bundle(self, engine: str = GRPCIO) -> Bundle:
        """Its manifests, read, with its pods on one of the echo servers."""
        from whichpod.manifest.load import load

        return with_args(served_by(load(*self.manifests), engine), self.args)

    def plans(self) -> list[Plan]:
        """A plan for each of the clients that it has; `{n}` in metadata is the client's number, from 1."""
        return [
            dataclasses.replace(
                self.plan, metadata=tuple((k, v.replace("{n}", str(n))) for k, v in self.plan.metadata)
            )
            for n in range(1, self.scenario.clients + 1)
        ]

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return (self.plan.duration_s or 0) + START_S


@dataclass(frozen=True, slots=True)
class DynamicScenario:
    """Something that happens to a lab under load."""

    name: str
    title: str
    order: int
    why: str
    steps: tuple[Step, ...]
    questions: tuple[Question, ...]
    clients: int
    """Clients, each a process of its own."""
    alone: bool
    """Whether nothing else may run meanwhile, since it is about speed."""
    cells: tuple[DynamicCell, ...] = ()


def read_dynamic(folder: Path, ways: dict[str, Way]) -> DynamicScenario:
    """Reads a scenario's folder. Raises UsageError naming the file and what is wrong in it."""
    file = folder / "scenario.toml"
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        refuse_unknown("scenario", data, _KEYS)
        scenario = DynamicScenario(
            folder.name,
            data["title"],
            data.get("order", 1000),
            " ".join(data.get("why", "").split()),
            tuple(read_step(s, folder) for s in data.get("steps", ())),
            tuple(_question(q) for q in data["questions"]),
            data.get("clients", 1),
            data.get("alone", False),
        )
        cells = tuple(_cell(scenario, c, data, ways, folder) for c in data["cells"])
        _check_names(cells)
        return dataclasses.replace(scenario, cells=cells)
    except OSError as e:
        raise UsageError(f"{file} can't be read: {e.strerror}.") from None
    except KeyError as e:
        raise UsageError(f"{file}: {e.args[0]} is missing.") from None
    except (tomllib.TOMLDecodeError, ValueError, TypeError) as e:
        raise UsageError(f"{file}: {e}") from None
    except UsageError as e:
        raise UsageError(f"{file}: {e.message}", fix=e.fix) from None


def _question(data: dict[str, Any]) -> Question:
    own = {f.name for f in dataclasses.fields(Question)} - {"given"}
    question = Question(
        **{k: v for k, v in data.items() if k in own}, given={k: v for k, v in data.items() if k not in own}
    )
    asked(question)
    return question


def _cell(
    scenario: DynamicScenario, data: dict[str, Any], whole: dict[str, Any], ways: dict[str, Way], folder: Path
) -> DynamicCell:
    refuse_unknown("cell", data, _CELL_KEYS)
    if data["path"] not in ways:
        raise ValueError(f"cell: there is no path {data['path']!r}; known are {', '.join(ways)}")
    way = ways[data["path"]]
    files = tuple((folder / m).resolve() for m in data["manifests"]) if "manifests" in data else way.manifests
    rules = tuple((folder / m).resolve() for m in data["rules"]) if "rules" in data else way.rules
    plan = from_json(Plan, _PLAN | whole["load"] | way.plan | data.get("plan", {}))
    plan.check()
    client = from_json(Client, to_json(way.client) | data.get("client", {}))
    client.check()
    return DynamicCell(
        scenario,
        f"{scenario.name}/{data.get('name', way.name)}",
        way,
        data.get("title", way.title),
        client,
        plan,
        files + rules,
        (*way.args, *whole.get("args", ()), *data.get("args", ())),
        tuple(parse_condition(c) for c in data.get("expect", ())),
        " ".join(data.get("because", "").split()),
    )


def _check_names(cells: Sequence[DynamicCell]) -> None:
    names = [c.name for c in cells]
    twice = next((n for n in names if names.count(n) > 1), "")
    if twice:
        raise ValueError(f"there are two cells {twice}; give one of them a name")


def dynamic_scenarios(folder: Path = BUILT_IN) -> list[DynamicScenario]:
    """All scenarios in time below `folder`, in their order. Raises UsageError for none, or a broken one."""
    ways = read_paths()
    found = [read_dynamic(file.parent, ways) for file in folder.glob("*/scenario.toml")]
    if not found:
        raise UsageError(
            f"There is no scenario in {folder}.", fix="A scenario is a folder with scenario.toml."
        )
    return sorted(found, key=lambda s: (s.order, s.name))


def chosen_cells(
    scenarios: Sequence[DynamicScenario], only: Sequence[str], skip: Sequence[str]
) -> list[DynamicCell]:
    """The cells that `only` names (all without), less those that `skip` names.

    A name is SCENARIO, or SCENARIO/PATH; both may be globs: `scale*`, `kill/istio*`, `*/proxyless`. Raises
    UsageError for a pattern that means none, and where nothing is left.
    """
    cells = [c for s in scenarios for c in s.cells]
    for pattern in (*only, *skip):
        if not any(_means(pattern, c) for c in cells):
            names = ", ".join(s.name for s in scenarios)
            raise UsageError(
                f"There is no cell {pattern!r}.",
                fix=f"It is SCENARIO or SCENARIO/PATH, or a glob. Scenarios: {names}. "
                "See all: whichpod matrix --dynamic --list",
            )
    left = [
        c
        for c in cells
        if (not only or any(_means(p, c) for p in only)) and not any(_means(p, c) for p in skip)
    ]
    if not left:
        raise UsageError("--only and --skip leave no cell.", fix="See all: whichpod matrix --dynamic --list")
    return left


def _means(pattern: str, cell: DynamicCell) -> bool:
    return fnmatchcase(cell.name if "/" in pattern else cell.scenario.name, pattern)
