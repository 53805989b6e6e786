"""Settings of all tests."""

import os
import signal

import pytest
from hypothesis import settings

# No timing assertions: a slow machine is no failure.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(autouse=True, scope="session")
def _as_from_a_shell() -> None:
    """Output is as wide as in a pipe, and Ctrl-C ends what a test starts, wherever the tests are run from."""
    os.environ.pop("COLUMNS", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Inherited by what is started, as by jobs in a script's background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
