"""Scenarios in time as they are written down: read, chosen, refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from whichpod.model.errors import UsageError
from whichpod.scenarios.dynamic.paths import read_paths
from whichpod.scenarios.dynamic.run import budget_s
from whichpod.scenarios.dynamic.scenario import chosen_cells, dynamic_scenarios, read_dynamic

GOOD = """
title = "A pod ends"
[load]
rate = 20
duration_s = 2.0
[[steps]]
name = "gone"
at_s = 1
do = "delete"
pod = "serving"
[[questions]]
ask = "failed"
[[cells]]
path = "headless"
expect = ["failed == 0"]
"""


def written(folder: Path, text: str) -> Path:
    found = folder / "gone"
    found.mkdir()
    (found / "scenario.toml").write_text(text)
    return found


def test_all_that_come_with_the_package_can_be_read_and_their_manifests_hold() -> None:
    cells = [c for s in dynamic_scenarios() for c in s.cells]
    for cell in cells:
        assert cell.bundle().deployments
        assert cell.plan.open_loop or cell.scenario.alone
        assert cell.because, cell.name
    assert len({c.name for c in cells}) == len(cells)
    assert budget_s(cells, 3) < 600


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    scenario = read_dynamic(written(tmp_path, GOOD), read_paths())
    (cell,) = scenario.cells
    assert cell.name == "gone/headless"
    assert cell.plan.policy == "round_robin"
    assert cell.plan.timeline_s == 0.1
    assert [c.text for c in cell.expect] == ["failed == 0"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('do = "delete"', 'do = "explode"', "explode"),
        ('pod = "serving"', "", "pod is missing"),
        ('pod = "serving"', 'pot = "serving"', "pot"),
        ('ask = "failed"', 'ask = "weather"', "weather"),
        ('path = "headless"', 'path = "telepathy"', "telepathy"),
        ("failed == 0", "failed = 0", "failed = 0"),
        ("duration_s = 2.0", "duration_s = -2.0", "--duration"),
        ("[load]", "[lode]", "lode"),
        ('title = "A pod ends"', "", "title is missing"),
        ('title = "A pod ends"', "title = ", "gone"),
        ("[[cells]]", '[[cells]]\npath = "headless"\n[[cells]]', "two cells"),
        ("[[cells]]", '[[cells]]\ncolour = "red"', "colour"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_file(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    folder = written(tmp_path, GOOD.replace(before, after))
    with pytest.raises(UsageError, match=said) as raised:
        read_dynamic(folder, read_paths())
    assert "scenario.toml" in str(raised.value)


def test_cells_are_chosen_by_scenario_or_by_path() -> None:
    found = dynamic_scenarios()
    assert {c.scenario.name for c in chosen_cells(found, ["scale"], [])} == {"scale"}
    assert {c.way.name for c in chosen_cells(found, ["*/headless"], [])} == {"headless"}
    assert [c.name for c in chosen_cells(found, ["scale/is*"], [])] == ["scale/istio"]
    assert "scale/istio" not in [c.name for c in chosen_cells(found, [], ["scale/istio"])]
    with pytest.raises(UsageError, match="nothing-like-it"):
        chosen_cells(found, ["nothing-like-it"], [])
    with pytest.raises(UsageError, match="no cell"):
        chosen_cells(found, ["scale"], ["scale"])


def test_a_client_has_its_own_number_in_its_metadata(tmp_path: Path) -> None:
    text = GOOD.replace("[load]", 'clients = 2\n[load]\nmetadata = [["x-user", "user-{n}"]]')
    (cell,) = read_dynamic(written(tmp_path, text), read_paths()).cells
    assert [p.metadata for p in cell.plans()] == [(("x-user", "user-1"),), (("x-user", "user-2"),)]
