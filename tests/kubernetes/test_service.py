from __future__ import annotations

from typing import Any

from whichpod.cluster.kubernetes.address import pods_address, service_address
from whichpod.cluster.kubernetes.ready import ready_addresses
from whichpod.cluster.kubernetes.service import FoundService, endpoints


def endpoint(ip: str, pod: str = "", ready: bool | None = True, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"addresses": [ip], "conditions": {} if ready is None else {"ready": ready}}
    if pod:
        found["targetRef"] = {"kind": "Pod", "name": pod}
    return found | more


def piece(*found: dict[str, Any], family: str = "IPv4") -> dict[str, Any]:
    return {"addressType": family, "endpoints": list(found), "ports": [{"name": "grpc", "port": 50051}]}


def test_slices_of_a_dual_stack_have_each_pod_once() -> None:
    slices = [
        piece(endpoint("fd00::1", "a"), endpoint("fd00::2", "b"), family="IPv6"),
        piece(endpoint("10.0.0.1", "a"), endpoint("10.0.0.2", "b", ready=False)),
    ]
    found = endpoints(slices)
    assert [(e.pod, e.ip, e.ready) for e in found] == [("a", "10.0.0.1", True), ("b", "fd00::2", True)]


def test_a_missing_condition_means_ready() -> None:
    slices = [piece(endpoint("10.0.0.1", ready=None), endpoint("10.0.0.2", ready=False), {"addresses": []})]
    assert [e.ready for e in endpoints(slices)] == [True, False]
    assert ready_addresses(slices) == ["10.0.0.1"]
    assert ready_addresses([{"endpoints": None}]) == []


def test_who_should_answer() -> None:
    slices = [piece(endpoint("10.0.0.1", "a"), endpoint("10.0.0.9"), endpoint("10.0.0.2", "b", False))]
    found = FoundService("echo", "shop", 50051, 50051, False, "grpc", "", tuple(endpoints(slices)))
    assert found.known(by_peer=False) == ("10.0.0.9", "a")
    assert found.known(by_peer=True) == ("10.0.0.9", "10.0.0.1")
    assert found.address() == "dns:///echo.shop.svc:50051"
    assert found.address(xds=True) == "xds:///echo.shop.svc.cluster.local:50051"


def test_addresses() -> None:
    assert service_address("echo", "x", 1) == "dns:///echo.x.svc:1"
    assert pods_address(["10.0.0.1", "10.0.0.2"], 5) == "ipv4:10.0.0.1:5,10.0.0.2:5"
    assert pods_address(["fd00::1"], 5) == "ipv6:[fd00::1]:5"
