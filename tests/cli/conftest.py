"""What the command line's tests share."""

from __future__ import annotations

import pytest

from tests.cli.bench import Bench


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(capsys)
