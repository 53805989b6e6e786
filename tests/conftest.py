"""Settings of all tests."""

from hypothesis import settings

# No timing assertions: a slow machine is no failure.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
