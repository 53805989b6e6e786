"""Every kind of bad input has its tests, for each role it concerns; every limit has one."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tests.hostile
from tests.hostile import test_grpc, test_limits
from whichpod.wire import Limits

ROLES = ("server", "client")
CASES = range(1, 26)
"""All of them concern both roles: where the input can come from one side only, the other has its mirror."""
FRAMES_AND_MESSAGES = ("frame_size", "message")
"""Limits that nobody sets, so that `Limits` doesn't have them."""
RATES = {"resets_per_s": "resets", "chores_per_s": "chores", "chores_per_work": "chores"}
"""Tested with the burst that they drain."""

Test = Callable[..., Any]


def found() -> Iterator[tuple[str, Test]]:
    for info in pkgutil.iter_modules(tests.hostile.__path__):
        if info.name.startswith("test_"):
            module = importlib.import_module(f"tests.hostile.{info.name}")
            yield from inspect.getmembers(module, inspect.isfunction)


def roles(test: Test) -> set[str]:
    """The roles that a test runs for, by its fixtures and its marks."""
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize" and mark.args[0] == "role":
            return set(mark.args[1])
    wanted = inspect.signature(test).parameters
    return set(ROLES) if {"role", "victim"} & wanted.keys() else set()


def covered(tests: Iterator[tuple[str, Test]]) -> dict[int, set[str]]:
    cases: dict[int, set[str]] = {}
    for name, test in tests:
        match = re.match(r"test_case_(\d\d)_", name)
        if match:
            cases.setdefault(int(match[1]), set()).update(roles(test))
    return cases


def test_every_case_has_tests_of_each_role() -> None:
    assert covered(found()) == {case: set(ROLES) for case in CASES}


def test_every_limit_has_a_test() -> None:
    names = [field.name for field in dataclasses.fields(Limits)]
    wanted = {RATES.get(name, name) for name in names} | set(FRAMES_AND_MESSAGES)
    members = dict(inspect.getmembers(test_limits, inspect.isfunction))
    assert {name for name in wanted if f"test_limit_{name}" not in members} == set()


def test_a_missing_role_would_be_seen() -> None:
    """The check, checked: tests of one role, and a case without any."""

    @pytest.mark.parametrize("role", ["client"])
    def one(role: str) -> None: ...

    def both(victim: object) -> None: ...

    def none() -> None: ...

    assert covered(iter([("test_case_03_x", one), ("test_case_04_y", both), ("test_case_05_z", none)])) == {
        3: {"client"}, 4: set(ROLES), 5: set(),
    }  # fmt: skip
    assert roles(test_grpc.test_case_25_no_grpc_status) == {"client"}
