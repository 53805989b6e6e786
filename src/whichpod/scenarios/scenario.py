"""A scenario: plain Kubernetes YAML, a client's plan and the expectation it must meet.

A folder each, with `scenario.toml` and manifests. TOML, so that listing needs the standard library only.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import GRPCIO, check_engine, served_by
from whichpod.model.codec import from_json
from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expect, Expectation, expecting, parse_expectation
from whichpod.model.plan import Plan
from whichpod.stats.samples import to_tell_even

BUILT_IN = Path(__file__).parent
PODS = 5
"""Replicas in the scenarios' manifests, which the plans' request counts are meant for."""

_KEYS = {
    "title",
    "order",
    "expect",
    "manifests",
    "scale",
    "count",
    "engine",
    "cluster",
    "because",
    "why",
    "guide",
    "client",
    "plan",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One configuration of the matrix, as written down."""

    name: str
    title: str
    order: int
    because: str
    """Why it behaves so, in a few words for a table."""
    why: str
    """Two or three sentences on why it behaves so."""
    guide: str
    """What the published guide says of it, and what is known of that."""
    expectation: Expectation
    client: Client
    plan: Plan
    manifests: tuple[Path, ...]
    scale: str = "echo"
    """The Deployment that `--pods` scales; empty where the number of servers is the point."""
    count: str = "requests"
    """The plan's field that `--requests` sets: messages where there is a single stream."""
    engine: str = ""
    """The echo server that its pods must run, where it is about that one's behaviour; else any will do."""
    cluster: str = ""
    """Where alone it can run, where other places can't have what it is about; else anywhere."""

    def bundle(self, pods: int | None = None, engine: str = GRPCIO) -> Bundle:
        """Its manifests, read, with `pods` replicas where it scales, served by `engine` where any will do."""
        from whichpod.manifest.load import load

        check_engine(engine)
        bundle = served_by(load(*self.manifests), self.engine or engine)
        return bundle.scaled(self.scale, pods) if pods is not None and self.scale else bundle

    def elsewhere(self, cluster: str) -> str:
        """Why it can't run there at all; empty where it may."""
        if self.cluster in ("", cluster):
            return ""
        return f"It runs in a cluster of yours only: --cluster {self.cluster}"

    def plan_for(self, pods: int | None, requests: int | None) -> Plan:
        """Its plan with another number of requests.

        Without a number, more pods get more requests, so that each keeps as many as with five (a plan with a
        rate keeps its number, since it would take longer otherwise), and two pods get as many as it takes to
        tell that they are even.
        """
        if requests is None and pods is not None and pods > PODS and self.scale and self.plan.rate is None:
            requests = math.ceil(getattr(self.plan, self.count) * pods / PODS)
        if requests is None and pods is not None and pods > 1 and self.expectation.kind is Expect.EVEN:
            # With few pods it takes more to tell taking turns from chance.
            requests = max(self.plan.requests or 0, to_tell_even(pods))
        if requests is None:
            return self.plan
        changes: dict[str, Any] = {self.count: requests}
        return dataclasses.replace(self.plan, **changes)


def read_scenario(folder: Path) -> Scenario:
    """Reads a scenario's folder. Raises UsageError naming the file and what is wrong in it."""
    file = folder / "scenario.toml"
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        unknown = sorted(set(data) - _KEYS)
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not known here; known are {', '.join(sorted(_KEYS))}")
        client, plan = from_json(Client, data.pop("client", {})), from_json(Plan, data.pop("plan", {}))
        client.check()
        plan.check()
        manifests = tuple((folder / name).resolve() for name in data.pop("manifests"))
        expectation = parse_expectation(data.pop("expect"))
        if "engine" in data:
            check_engine(data["engine"])
        texts = {key: " ".join(data.pop(key, "").split()) for key in ("why", "guide")}
        return Scenario(
            name=folder.name,
            title=data.pop("title"),
            order=data.pop("order", 1000),
            because=data.pop("because", ""),
            expectation=expectation,
            client=client,
            plan=expecting(plan, expectation),
            manifests=manifests,
            **texts,
            **data,
        )
    except OSError as e:
        raise UsageError(
            f"{file} can't be read: {e.strerror}.", fix="A scenario is a folder with one."
        ) from None
    except KeyError as e:
        raise UsageError(f"{file}: {e.args[0]} is missing.") from None
    except (tomllib.TOMLDecodeError, ValueError) as e:
        raise UsageError(f"{file}: {e}") from None
    except UsageError as e:
        raise UsageError(f"{file}: {e.message}", fix=e.fix) from None


def scenarios(folder: Path = BUILT_IN) -> list[Scenario]:
    """All scenarios below `folder`, in their order. Raises UsageError for none, or a broken one."""
    found = [read_scenario(file.parent) for file in folder.glob("*/scenario.toml")]
    if not found:
        raise UsageError(
            f"There is no scenario in {folder}.", fix="A scenario is a folder with scenario.toml."
        )
    return sorted(found, key=lambda s: (s.order, s.name))


def selected(all_of_them: list[Scenario], only: list[str], skip: list[str]) -> list[Scenario]:
    """Those that `only` names (all without), less those that `skip` names; names may be globs, `istio*`.

    Raises UsageError for a pattern that means none, and where nothing is left.
    """
    names = [s.name for s in all_of_them]
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(f"There is no row {pattern!r}.", fix=f"Rows: {', '.join(names)}.")
    left = [
        s
        for s in all_of_them
        if (not only or any(fnmatchcase(s.name, p) for p in only))
        and not any(fnmatchcase(s.name, p) for p in skip)
    ]
    if not left:
        raise UsageError("--only and --skip leave no row.", fix="See them all: whichpod matrix --list")
    return left
