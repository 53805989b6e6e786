"""Each row of Istio's mapping of traffic policies, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.mesh.policies import H2, ROWS, Row, http, limits
from whichpod.mesh.outbound import outbound
from whichpod.mesh.resources import CLUSTER, ENDPOINT
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make

NAME = "outbound|80||echo.default.svc.cluster.local"
DEFAULT: dict[str, Any] = {
    "name": NAME,
    "type": "EDS",
    "eds_cluster_config": {
        "service_name": NAME,
        "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
    },
    "connect_timeout": "10s",
    "lb_policy": "LEAST_REQUEST",
    "common_lb_config": {},
    **limits(),
    **http(**H2),
}


def test_without_a_rule(make: Make) -> None:
    found = outbound(make(), lambda s, p: ("127.0.0.1", 1))
    assert found.clusters == {NAME: DEFAULT}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.port} {row.policy}")
def test_policies(make: Make, row: Row) -> None:
    found = outbound(make(row.policy, port=row.port), lambda s, p: ("127.0.0.1", 1))
    expected = {k: v for k, v in (DEFAULT | row.changes).items() if v is not None}
    assert found.clusters[NAME] == expected, row.source
    packed(CLUSTER, found.texts[CLUSTER][NAME])


def test_subsets_are_clusters_of_their_own(make: Make) -> None:
    registry = make(
        "{loadBalancer: {simple: RANDOM}}\n"
        "  subsets: [{name: two, labels: {version: v2}}, {name: none, labels: {x: y}}]"
    )
    found = outbound(registry, lambda s, p: ("127.0.0.1", 1))
    two = NAME.replace("||", "|two|")
    assert set(found.clusters) == {NAME, two, NAME.replace("||", "|none|")}
    assert found.clusters[two]["lb_policy"] == "RANDOM"
    assert found.clusters[two]["eds_cluster_config"]["service_name"] == two
    assert "127.0.1.2" in found.texts[ENDPOINT][two]
    assert "127.0.1.1" not in found.texts[ENDPOINT][two]
    assert found.endpoints[NAME.replace("||", "|none|")]["endpoints"] == []
