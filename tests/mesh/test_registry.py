from __future__ import annotations

from typing import TYPE_CHECKING

from whichpod.mesh.registry import Endpoint, Registry

if TYPE_CHECKING:
    from tests.mesh.conftest import Make


def test_who_is_behind_a_port(make: Make) -> None:
    bundle = make().bundle
    (service,) = bundle.services
    (port,) = service.ports

    def addresses(*pods: Endpoint, subset: dict[str, str] | None = None) -> list[tuple[str, int]]:
        return list(Registry(bundle, pods).addresses(service, port, subset))

    labels = {"app": "echo", "v": "1"}
    assert addresses(Endpoint("a", "127.0.0.1", labels, {"main": 7})) == [("127.0.0.1", 7)]
    assert addresses(Endpoint("a", "127.0.0.1", labels, {"main": 7}), subset={"v": "1"}) == [("127.0.0.1", 7)]
    assert addresses(Endpoint("a", "127.0.0.1", labels, {"main": 7}), subset={"v": "2"}) == []
    assert addresses(Endpoint("a", "127.0.0.1", labels, {"main": 7}, ready=False)) == []
    assert addresses(Endpoint("a", "127.0.0.1", labels, {"other": 7})) == []
    assert addresses(Endpoint("a", "127.0.0.1", {"app": "x"}, {"main": 7})) == []
    assert addresses(Endpoint("a", "127.0.0.1", labels, {"main": 7}, namespace="x")) == []
