"""A fresh victim for each test, of each role unless the test says which."""

from __future__ import annotations

import pytest

from tests.hostile.victim import Victim


@pytest.fixture(params=["server", "client"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def victim(role: str) -> Victim:
    return Victim(role)
