"""Files of faults: what they mean, and what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.echo.faultfile import LARGEST, read_faults
from whichpod.echo.faults import Delay, Failure, Faults
from whichpod.model.errors import UsageError

FLAGS = Faults(Delay("fixed", 0.25), Failure(0.5, "ABORTED"))


def written(folder: Path, said: Any) -> str:
    path = folder / "faults.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return str(path)


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        ("", FLAGS),
        (" \n", FLAGS),
        ({}, FLAGS),
        ({"delay": "uniform:1s..2s"}, Faults(Delay("uniform", 1, 2), FLAGS.failure)),
        ({"delay": "0s", "fail_rate": 0}, Faults(Delay(), Failure(0, "ABORTED"))),
        ({"fail_rate": 1, "fail_code": "internal"}, Faults(FLAGS.delay, Failure(1, "INTERNAL"))),
        ({"fail_how": "after-headers"}, Faults(FLAGS.delay, Failure(0.5, "ABORTED", "after-headers"))),
    ],
)
def test_what_a_file_does_not_say_is_as_the_flags_say(said: Any, faults: Faults, tmp_path: Path) -> None:
    assert read_faults(written(tmp_path, said), FLAGS)("echo-0") == faults


def test_a_file_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert read_faults(str(tmp_path / "none.json"), FLAGS)("") == FLAGS


def test_what_is_said_for_a_pod_goes_before_what_is_said_for_all(tmp_path: Path) -> None:
    said = {"delay": "1s", "pods": {"echo-1": {"fail_rate": 1.0}, "echo-2": {"delay": "2s"}, "gone": {}}}
    faults_of = read_faults(written(tmp_path, said), FLAGS)
    assert faults_of("echo-0") == Faults(Delay("fixed", 1), FLAGS.failure)
    assert faults_of("echo-1") == Faults(Delay("fixed", 1), Failure(1, "ABORTED"))
    assert faults_of("echo-2") == Faults(Delay("fixed", 2), FLAGS.failure)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "is no JSON"),
        ("\0\1\xff", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no JSON object"),
        (" " * LARGEST + "{}", "is larger than"),
        ({"fail-rate": 1}, "'fail-rate' is no fault"),
        ({"delay": 1}, "delay 1.0 makes no sense"),
        ({"delay": "soon"}, "--delay 'soon'"),
        ({"fail_rate": True}, "fail_rate true makes no sense"),
        ({"fail_rate": 1.5}, "--fail-rate 1.5"),
        ('{"fail_rate": NaN}', "--fail-rate nan"),
        ('{"fail_rate": 1' + "0" * 5000 + "}", "--fail-rate inf"),
        ({"fail_code": "OK"}, "no gRPC status 'OK'"),
        ({"fail_how": "loudly"}, "--fail-how 'loudly'"),
        ({"pods": []}, '"pods" must be an object'),
        ({"pods": {"echo-1": 1}}, "pod echo-1: faults must be an object"),
        ({"pods": {"echo-1": {"pods": {}}}}, "pod echo-1: 'pods' is no fault"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(said: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read_faults(written(tmp_path, said), FLAGS)
    assert words in refused.value.message
    assert refused.value.message.startswith(str(tmp_path))


@pytest.mark.parametrize("path", ["/dev/null", "/", "a\0b"])
def test_what_is_no_file_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        read_faults(path, FLAGS)


@given(said=st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.dictionaries(st.sampled_from(["delay", "fail_rate", "pods", "x"]), inner),
))  # fmt: skip
def test_any_json_is_faults_or_a_usage_error(said: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(said))
    with contextlib.suppress(UsageError):
        assert read_faults(str(path), FLAGS)("x").failure.how == "trailers-only"
