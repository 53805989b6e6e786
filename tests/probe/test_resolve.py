"""The addresses behind a name, and those of them that are used."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from whichpod.model.errors import TargetError
from whichpod.probe.resolve import lookup, reachable


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    """localhost has both kinds of address, IPv6 first, as on most machines."""

    def answers(host: str, port: object, **how: Any) -> list[Any]:
        assert host == "localhost"
        found = [(socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0))]
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda h, *a, **k: (answers if h == "localhost" else real)(h, *a, **k)
    )


@pytest.fixture
def v4() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_name_with_both_kinds_of_address_counts_its_server_once(both: None, v4: int) -> None:
    assert lookup(f"localhost:{v4}") == (f"[::1]:{v4}", f"127.0.0.1:{v4}")
    assert reachable(f"localhost:{v4}") == (f"127.0.0.1:{v4}",)


def test_the_kind_that_comes_first_is_used_where_it_accepts(both: None) -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 on this machine's loopback")
    with listening:
        port = listening.getsockname()[1]
        assert reachable(f"dns:///localhost:{port}") == (f"[::1]:{port}",)


def test_where_nothing_listens_the_first_kind_is_left_to_fail(both: None) -> None:
    assert reachable("localhost:1") == ("[::1]:1",)


def test_of_a_list_each_address_is_taken_once() -> None:
    assert reachable("ipv4:127.0.0.1:1,127.0.0.2:1") == ("127.0.0.1:1", "127.0.0.2:1")
    assert reachable("ipv4:127.0.0.1:1,127.0.0.1:1") == ("127.0.0.1:1",)
    assert reachable("unix:/run/echo.sock") == ()


def test_a_name_that_does_not_resolve_is_said_to() -> None:
    with pytest.raises(TargetError, match="does not resolve"):
        lookup("no.such.name.invalid:1")


def test_a_dns_server_that_is_not_there_is_said_to_be_why() -> None:
    with pytest.raises(TargetError, match=r"does not resolve \(.*refused"):
        lookup("dns://127.0.0.1:1/echo:50051")
