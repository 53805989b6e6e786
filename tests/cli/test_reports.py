"""The folder that --report names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from whichpod.cli import claims, matrix
from whichpod.cli.main import run
from whichpod.cli.reports import OutputError, check_folder, write_all
from whichpod.model.claims import Claims
from whichpod.model.errors import UsageError
from whichpod.model.report import Matrix


def test_files_are_written_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "reports"
    check_folder(folder)
    assert not folder.parent.exists()
    write_all(folder, {"a.json": "{}", "parts/x.csv": "1", "parts/ü.csv": "µ"})
    assert (folder / "parts" / "ü.csv").read_text(encoding="utf-8") == "µ"
    assert capsys.readouterr().err == f"Reports are in {folder}: a.json, parts/\n"


@pytest.mark.parametrize(
    "command",
    [
        ["matrix", "--only", "clusterip"],
        ["matrix", "--dynamic", "--only", "scale/clusterip"],
        ["claims", "--only", "only-istio"],
        ["bench", "--matrix", "--only", "direct"],
        ["bench", "a:1"],
        ["k8s", "test", "--without-istio"],
        ["k8s", "bench", "echo"],
    ],
    ids=" ".join,
)
def test_what_is_no_folder_is_refused_before_anything_starts(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "file").touch()
    assert run([*command, "--report", str(file / "reports")]) == 2
    assert f"--report {file} is not a folder" in capsys.readouterr().err


def test_nor_one_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    with pytest.raises(UsageError, match="permission denied"):
        check_folder(tmp_path / "new")


@pytest.mark.parametrize(
    "show",
    [
        lambda folder: matrix._show(Matrix({}, []), folder, True, False),
        lambda folder: claims._show(Claims({}), folder, True, False),
    ],
    ids=["matrix", "claims"],
)
def test_a_result_is_told_although_its_files_fail(
    show: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written") as failed:
        show(file)
    assert failed.value.exit_code == 4
    assert '"end_reason"' in capsys.readouterr().out
