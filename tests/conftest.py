"""Settings of all tests."""

import os

import pytest
from hypothesis import settings

# No timing assertions: a slow machine is no failure.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(autouse=True, scope="session")
def _no_terminal() -> None:
    """Output is as wide as in a pipe, whatever the width of the terminal that the tests are run from."""
    os.environ.pop("COLUMNS", None)
