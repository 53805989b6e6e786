"""Targets as gRPC names them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.errors import TargetError, UsageError
from whichpod.probe.address import Address, parse_address
from whichpod.probe.endpoints import consecutive, parse_endpoints

BOOTSTRAP = '{"node": {"id": "a"}, "xds_servers": [{"server_uri": "127.0.0.1:1"}]}'


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("localhost:50051", Address("dns", host="localhost", port=50051)),
        ("[::1]:50051", Address("dns", host="::1", port=50051)),
        ("dns:///echo:1", Address("dns", host="echo", port=1)),
        ("dns:echo:1", Address("dns", host="echo", port=1)),
        ("dns:///echo", Address("dns", host="echo", port=443)),
        ("dns://10.0.0.1:5353/echo.ns:1", Address("dns", authority="10.0.0.1:5353", host="echo.ns", port=1)),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", Address("ipv4", listed=("10.0.0.1:1", "10.0.0.2:2"))),
        ("ipv6:[::1]:1", Address("ipv6", listed=("[::1]:1",))),
        ("unix:/tmp/x.sock", Address("unix", host="/tmp/x.sock")),
        ("unix:///tmp/x.sock", Address("unix", host="/tmp/x.sock")),
    ],
)
def test_targets(target: str, address: Address) -> None:
    assert parse_address(target) == address


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "no host"),
        ("localhost", "no port"),
        ("localhost:", "no port"),
        ("localhost:http", "no port"),
        ("localhost:0", "0 is no port"),
        ("localhost:65536", "65536 is no port"),
        (":50051", "no host"),
        ("::1:50051", "brackets"),
        ("[::1:50051", "bracket"),
        ("http://localhost:50051", "scheme http"),
        ("dns://10.0.0.1", "after dns://SERVER"),
        ("ipv4:echo:1", "no IPv4 address"),
        ("ipv4:", "no host"),
        ("ipv6:10.0.0.1:1", "no IPv6 address"),
        ("unix:", "no socket"),
        ("unix:/" + "x" * 107, "107 bytes"),
        ("dns://a:b:c/echo:1", "dns://a:b:c/echo:1.*brackets"),
        ("dns://10.0.0.1:0/echo:1", "0 is no port"),
        ("xds:echo", "xds:///"),
        ("two words:1", "no host"),
    ],
)
def test_what_is_no_target_is_refused(target: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_address(target)
    assert refused.value.fix


def test_xds_needs_a_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRPC_XDS_BOOTSTRAP", "GRPC_XDS_BOOTSTRAP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="bootstrap"):
        parse_address("xds:///echo:1")
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", BOOTSTRAP)
    assert parse_address("xds:///echo:1").host == "echo:1"
    with pytest.raises(UsageError, match="names nothing"):
        parse_address("xds:///")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"xds_servers": []}', '{"xds_servers": [{}]}', "1"])
def test_what_is_no_bootstrap_is_refused(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GRPC_XDS_BOOTSTRAP", raising=False)
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", text)
    with pytest.raises(UsageError, match="CONFIG is no xDS bootstrap"):
        parse_address("xds:///echo:1")
    file = tmp_path / "bootstrap.json"
    file.write_text(text)
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP", str(file))
    monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", BOOTSTRAP)
    with pytest.raises(UsageError, match=r"bootstrap\.json is no xDS bootstrap"):
        parse_address("xds:///echo:1")
    file.unlink()
    with pytest.raises(UsageError, match="can't be read: No such file"):
        parse_address("xds:///echo:1")


@given(st.text())
def test_any_text_is_a_target_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_address(text)


def test_lists_of_endpoints() -> None:
    target = parse_endpoints("127.0.0.1:1, 127.0.0.2:2,127.0.0.1:1")
    assert target.address == "ipv4:127.0.0.1:1,127.0.0.2:2"
    assert (target.known, target.known_by) == (("127.0.0.1:1", "127.0.0.2:2"), "given")
    assert parse_endpoints("[::1]:5").address == "ipv6:[::1]:5"
    assert parse_endpoints("localhost:7").address == "ipv4:127.0.0.1:7"


def test_the_guides_multi_endpoint_is_five_consecutive_ports() -> None:
    target = consecutive("localhost:50051", 5)
    assert target.address == "ipv4:" + ",".join(f"127.0.0.1:{50051 + i}" for i in range(5))
    assert target.known_count == 5


@pytest.mark.parametrize("text", ["", ",", "a", "a:x", "127.0.0.1:1,[::1]:1"])
def test_bad_lists_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_endpoints(text)


def test_bad_runs_of_ports_are_refused() -> None:
    for target, count in (("localhost:65534", 5), ("localhost:1", 0), ("localhost", 5)):
        with pytest.raises(UsageError):
            consecutive(target, count)
    with pytest.raises(TargetError, match="does not resolve"):
        parse_endpoints("no.such.host.invalid:1")
