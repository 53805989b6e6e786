"""The command line's top, as a user meets it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from whichpod.cli.main import COMMANDS, run
from whichpod.report.console import out


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    assert "130 interrupted" in text


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert run([command, "--help"]) == 0
    except SystemExit as stop:  # argparse exits by itself
        assert not stop.code  # noqa: PT017
    text = capsys.readouterr().out
    assert f"whichpod {command}" in text
    assert "xamples:" in text
    assert "<list[" not in text


def test_nothing_optional_is_imported_by_help() -> None:
    code = (
        "import sys; from whichpod.cli.main import run; run(['--help']);"
        "heavy = {'grpc', 'rich', 'typer', 'yaml', 'google', 'envoy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["prob"], "Did you mean 'probe'?"),
        (["probe"], "No target was given."),
        (["probe", "localhost:1", "-n", "0"], "--requests 0"),
        (["probe", "localhost:1", "-n", "-3"], "--requests -3"),
        (["probe", "localhost:1", "-n", "many"], "--requests"),
        (["probe", "localhost:1", "--duration", "0s"], "--duration 0"),
        (["probe", "localhost:1", "--duration", "1s", "-n", "5"], "exclude each other"),
        (["probe", "localhost:1", "--expect", "evn"], "no expectation 'evn'"),
        (["probe", "localhost:1", "--service-config", "{"], "not JSON"),
        (["probe", "localhost:1", "--service-config", "@/nowhere"], "/nowhere can't be read"),
        (["probe", "localhost:1", "--ca", "/nowhere.pem"], "/nowhere.pem"),
        (["probe", "localhost:1", "--backends", "0"], "--backends 0"),
        (["probe", "localhost:1", "-H", "novalue"], "has no key"),
        (["probe", "localhost:1", "--stream", "sideways"], "sideways"),
        (["probe", "localhost:1", "--confidence", "2"], "--confidence 2"),
        (["probe", "localhost:1", "--endpoints", "a:1"], "instead of a target"),
        (["probe", "localhost:1", "--messages", "3"], "--messages belongs to --stream"),
        (["probe", "localhost:1", "--endpoint-count", "3"], "belongs to --multi-endpoint"),
        (["matrix", "--only", "nosuchrow"], "There is no row 'nosuchrow'"),
        (["matrix", "--pods", "0"], "--pods 0"),
        (["matrix", "--pods", "1"], "nothing to spread"),
        (["matrix", "--requests", "-1"], "--requests -1"),
        (["matrix", "--cluster", "moon"], "no cluster 'moon'"),
        (["matrix", "--scenarios", "/nowhere"], "no scenario in /nowhere"),
        (["matrix", "--report", "/dev/null"], "not a folder"),
        (["matrix", "--only", "istio", "--skip", "istio"], "leave no row"),
    ],
)
def test_bad_input_is_refused_in_a_line_or_two(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert not printed.out
    assert "Traceback" not in printed.err


def test_a_bug_is_called_a_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whichpod.cli.probe.typer_main", lambda *a, **k: 1 / 0)
    assert run(["probe", "x"]) == 70
    assert "a bug in whichpod: ZeroDivisionError" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run(["probe", "x", "--debug"])


def test_interrupts_have_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("whichpod.cli.probe.typer_main", stop)
    assert run(["probe", "x"]) == 130


def test_module_and_command_are_the_same() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "whichpod", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("whichpod 0.")


def test_a_reader_that_goes_away_is_no_unmet_expectation(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with contextlib.suppress(BrokenPipeError), open(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        # rich would exit with 1.
        with pytest.raises(BrokenPipeError):
            out().print("x" * 100_000)
