"""`whichpod matrix --dynamic` as a user calls it, up to where something would start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whichpod.cli.matrix import main
from whichpod.model.errors import ExitCode, UsageError


def test_the_list_says_what_is_expected_and_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dynamic", "--list", "--only", "scale"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "scale/istio" in said
    assert "new_hit == 5" in said
    assert "kill/" not in said
    assert "at a time" in said


def test_the_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dynamic", "--list", "--json", "--only", "kill/istio*"]) == ExitCode.OK
    data = json.loads(capsys.readouterr().out)
    assert data["schema_version"] == 1
    assert [c["name"] for c in data["cells"]] == ["kill/istio", "kill/istio-no-retries"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--dynamic", "--pods", "3"], "--pods"),
        (["--dynamic", "--requests", "3"], "--requests"),
        (["--dynamic", "--at-once", "0"], "--at-once"),
        (["--at-once", "2"], "--at-once"),
        (["--dynamic", "--only", "nothing"], "nothing"),
        (["--dynamic", "--engine", "steam"], "steam"),
        (["--dynamic", "--scenarios", "/nowhere"], "/nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused(argv: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        main(argv)


def test_a_report_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        main(["--dynamic", "--report", str(file), "--only", "scale/headless"])
