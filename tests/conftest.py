"""Settings of all tests."""

import gc
import os
import signal
import sys

import pytest
from hypothesis import settings

from tests.forks import FORKING

# No timing assertions: a slow machine is no failure. `thorough` is for those with time: see CONTRIBUTING.md.
settings.register_profile("house", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

# Hundreds of interpreters are started, and pytest rewrites what it imports: all would be compiled anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """Half a gigabyte of modules and tests stays to the end: nothing collects it, no fork copies it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _as_from_a_shell() -> None:
    """Output is as wide as in a pipe, and Ctrl-C ends what a test starts, wherever the tests are run from."""
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
        os.unsetenv(name)  # readline, where pytest imports it, sets them behind os.environ
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Inherited by what is started, as by jobs in a script's background.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of load runs and zygotes of labs are forked, where their start as programs isn't the point."""
    monkeypatch.setattr("whichpod.load.crew.subprocess", FORKING)
    monkeypatch.setattr("whichpod.cluster.local.supervisor.subprocess", FORKING)
