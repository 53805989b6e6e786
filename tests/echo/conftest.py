"""Tests that ask for `echo` or `engine` run once for each engine."""

from __future__ import annotations

import pytest

from tests.echo.engines import Serve, serve
from whichpod.echo.settings import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def echo(engine: str) -> Serve:
    return serve(engine)
