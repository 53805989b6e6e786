from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whichpod.manifest.kinds import Meta
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


def test_who_is_selected(make: Make) -> None:
    (service,) = make().bundle.services
    service = replace(service, selector={"app": "echo", "v": "1"})
    pods = (
        Endpoint("a", "127.0.0.1", {"app": "echo", "v": "1", "x": "y"}, ready=False),
        Endpoint("b", "127.0.0.2", {"app": "echo", "v": "2"}),
        Endpoint("c", "127.0.0.3", {"v": "1"}),
        Endpoint("d", "127.0.0.4", {"app": "echo", "v": "1"}, namespace="x"),
    )
    registry = Registry(make().bundle, pods)
    assert [e.pod for e in registry.selected(service)] == ["a"]
    assert registry.selected(replace(service, meta=Meta("other"), selector={})) == ()
