"""Flags and environment."""

from __future__ import annotations

from dataclasses import fields

import pytest

from whichpod.echo.args import build_parser, settings_from_args
from whichpod.echo.faults import Delay, Failure
from whichpod.echo.orca import LoadReport
from whichpod.echo.settings import ServerSettings
from whichpod.model.errors import UsageError


def test_without_flags_the_settings_are_the_defaults() -> None:
    assert settings_from_args([], {}) == ServerSettings()


def test_every_setting_has_a_flag() -> None:
    flags = {
        "--host": "127.0.0.1", "--port": "1", "--tls-cert": "c", "--tls-key": "k", "--tls-client-ca": "a",
        "--max-connection-age": "1m30s", "--max-connection-age-grace": "500ms",
        "--delay": "uniform:5ms..20ms", "--fail-rate": "0.5", "--fail-code": "internal", "--seed": "3",
        "--max-message-size": "5", "--workers": "6", "--grace": "7s", "--engine": "fast",
        "--pods": "8", "--pods-on": "addresses", "--fail-how": "after-message", "--faults": "f.json",
        "--max-concurrent-streams": "9",
        "--load-reports": "cpu=0.5,qps=9",
    }  # fmt: skip
    argv = [word for flag in flags.items() for word in flag]
    settings = settings_from_args(argv, {})
    assert settings == ServerSettings(
        "127.0.0.1",
        1,
        "c",
        "k",
        "a",
        90.0,
        0.5,
        Delay("uniform", 0.005, 0.02),
        Failure(0.5, "INTERNAL", "after-message"),
        3,
        5,
        6,
        7.0,
        "fast",
        8,
        "addresses",
        "f.json",
        9,
        LoadReport(cpu=0.5, qps=9),
    )
    default = ServerSettings()
    assert not [f.name for f in fields(default) if getattr(settings, f.name) == getattr(default, f.name)]


def test_a_flag_goes_before_the_environment() -> None:
    assert settings_from_args([], {"GRPC_PORT": "1234"}).port == 1234
    assert settings_from_args(["--port", "5"], {"GRPC_PORT": "1234"}).port == 5


def test_the_engine_may_come_from_the_environment() -> None:
    assert settings_from_args([], {"WHICHPOD_ENGINE": "fast"}).engine == "fast"
    assert settings_from_args([], {"WHICHPOD_ENGINE": ""}).engine == "grpcio"
    assert settings_from_args(["--engine", "grpcio"], {"WHICHPOD_ENGINE": "fast"}).engine == "grpcio"
    with pytest.raises(UsageError, match="WHICHPOD_ENGINE 'slow'"):
        settings_from_args([], {"WHICHPOD_ENGINE": "slow"})


def test_the_file_of_faults_may_come_from_the_environment() -> None:
    assert settings_from_args([], {"WHICHPOD_FAULTS": "a.json"}).faults_file == "a.json"
    assert settings_from_args(["--faults", "b.json"], {"WHICHPOD_FAULTS": "a.json"}).faults_file == "b.json"
    assert settings_from_args(["--faults", ""], {"WHICHPOD_FAULTS": "a.json"}).faults_file == ""


@pytest.mark.parametrize(
    ("port", "said"),
    [("x", "GRPC_PORT 'x'"), ("70000", "GRPC_PORT '70000'"), ("²", "GRPC_PORT"), ("", "GRPC_PORT ''"),
     ("tcp://10.0.0.1:50051", "enableServiceLinks")],
)  # fmt: skip
def test_an_environment_that_names_no_port(port: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings_from_args([], {"GRPC_PORT": port})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["--max-connection-age", "200h"],
        ["--max-connection-age", "soon"],
        ["--max-connection-age-grace", "1s"],
        ["--grace", "200h"],
        ["--max-message-size", "4294967296"],
        ["--fail-rate", "nan"],
        ["--fail-code", "OK"],
        ["--fail-how", "loudly"],
        ["--load-reports", "yes"],
        ["--port", "-1"],
        ["--engine", "slow"],
        ["--pods", "2"],
        ["--engine", "fast", "--pods", "0"],
        ["--engine", "fast", "--pods", "2", "--pods-on", "hosts"],
    ],
)
def test_flags_that_make_no_sense(argv: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        settings_from_args(argv, {})
    assert refused.value.fix


@pytest.mark.parametrize("argv", [["--nope"], ["--workers", "many"], ["extra"], ["--max-conn", "1s"]])
def test_what_is_no_flag(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        settings_from_args(argv, {})
    assert refused.value.code == 2
    assert "whichpod serve: error:" in capsys.readouterr().err


def test_every_flag_has_help() -> None:
    parser = build_parser()
    assert all(action.help for action in parser._actions)
    assert "Examples:" in parser.format_help()
