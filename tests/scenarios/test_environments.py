from __future__ import annotations

from whichpod.scenarios.environments import add


def test_what_every_lab_says_is_kept_once_and_the_rest_is_the_last_ones() -> None:
    environment = {"cluster": "loopback"}

    add(environment, {"envoy": "1", "stand-ins": "a; b", "real": "x"})
    add(environment, {"envoy": "2", "stand-ins": "b; c"})

    assert environment == {"cluster": "loopback", "envoy": "2", "stand-ins": "a; b; c", "real": "x"}
    nothing: dict[str, str] = {}
    add(nothing, {})
    assert nothing == {}
