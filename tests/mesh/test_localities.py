"""Places, weights and priorities: loadbalancer.go of Istio's pilot/pkg/networking/core/loadbalancer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

from whichpod.manifest.placement import Locality
from whichpod.mesh.caller import Caller
from whichpod.mesh.endpoints import load_assignment
from whichpod.mesh.outbound import outbound
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.mesh.resources import ENDPOINT
from whichpod.mesh.xds import packed

if TYPE_CHECKING:
    from tests.mesh.conftest import Make

NAME = "outbound|80||echo.default.svc.cluster.local"
PODS = (
    ("a", "west", "1", "x"),
    ("b", "west", "1", "y"),
    ("c", "west", "2", ""),
    ("d", "west", "2", ""),
    ("e", "east", "1", ""),
    ("f", "north", "9", ""),
)
NEAR = Caller(locality=Locality("west", "1", "x"))
Distribution = Literal["PreferSameZone", "PreferSameNode"]
Places = list[tuple[str, int, int, str]]


def pods() -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(
            name, f"127.0.0.{n}", {"app": "echo", "tier": name}, {"main": 7},
            region=region, zone=zone, subzone=subzone, node=f"node-{name}",
        )
        for n, (name, region, zone, subzone) in enumerate(PODS, 1)
    )  # fmt: skip


def places(found: dict[str, Any]) -> Places:
    """(place, weight, priority, pods) of each locality."""
    return [
        (
            "/".join(locality["locality"].values()),
            locality["load_balancing_weight"],
            locality.get("priority", 0),
            "".join(e["endpoint"]["hostname"] for e in locality["lb_endpoints"]),
        )
        for locality in found["endpoints"]
    ]


ALIKE: Places = [
    ("east/1", 1, 0, "e"),
    ("north/9", 1, 0, "f"),
    ("west/1/x", 1, 0, "a"),
    ("west/1/y", 1, 0, "b"),
    ("west/2", 2, 0, "cd"),
]
BY_PLACE: Places = [
    ("east/1", 1, 3, "e"),
    ("north/9", 1, 3, "f"),
    ("west/1/x", 1, 0, "a"),
    ("west/1/y", 1, 1, "b"),
    ("west/2", 2, 2, "cd"),
]


def near(setting: str, *, detects: bool = True) -> str:
    """A policy with a localityLbSetting, with outlier detection or without."""
    more = ", outlierDetection: {}" if detects else ""
    return f"{{loadBalancer: {{localityLbSetting: {{{setting}}}}}{more}}}"


@pytest.mark.parametrize(
    ("policy", "caller", "expected"),
    [
        ("", NEAR, ALIKE),
        (near("enabled: true", detects=False), NEAR, ALIKE),
        # With outlier detection failover by place is Istio's default.
        ("{outlierDetection: {}}", NEAR, BY_PLACE),
        (near("enabled: false"), NEAR, ALIKE),
        ("{outlierDetection: {}}", Caller(), ALIKE),
        ("{outlierDetection: {}}", Caller(locality=Locality("mars")), ALIKE),
        (
            near("failover: [{from: west, to: north}]"),
            NEAR,
            [("east/1", 1, 4, "e"), *BY_PLACE[1:]],
        ),
        (
            near("failover: [{from: west, to: north}]"),
            Caller(locality=Locality("east", "1")),
            [
                ("east/1", 1, 0, "e"),
                ("north/9", 1, 1, "f"),
                ("west/1/x", 1, 1, "a"),
                ("west/1/y", 1, 1, "b"),
                ("west/2", 2, 1, "cd"),
            ],
        ),
        (
            near("failover: [{from: west, to: north}]", detects=False),
            NEAR,
            ALIKE,
        ),
        (
            near("distribute: [{from: west/1/*, to: {west/1/*: 80, 'east/*': 20}}]", detects=False),
            NEAR,
            [("east/1", 20, 0, "e"), ("west/1/x", 40, 0, "a"), ("west/1/y", 40, 0, "b")],
        ),
        (
            near("distribute: [{from: west/2, to: {'*': 100}}]"),
            NEAR,
            ALIKE,
        ),
        (
            near("distribute: [{from: '*', to: {west/2: 67, '*': 33}}]"),
            Caller(),
            [
                ("east/1", 9, 0, "e"),
                ("north/9", 9, 0, "f"),
                ("west/1/x", 9, 0, "a"),
                ("west/1/y", 9, 0, "b"),
                ("west/2", 67, 0, "cd"),
            ],
        ),
        (
            near("failoverPriority: [topology.kubernetes.io/region, topology.kubernetes.io/zone]"),
            NEAR,
            [
                ("east/1", 1, 2, "e"),
                ("north/9", 1, 2, "f"),
                ("west/1/x", 1, 0, "a"),
                ("west/1/y", 1, 0, "b"),
                ("west/2", 2, 1, "cd"),
            ],
        ),
        (
            near("failoverPriority: [tier=d]"),
            Caller(labels={"tier": "a"}),
            [
                ("east/1", 1, 1, "e"),
                ("north/9", 1, 1, "f"),
                ("west/1/x", 1, 1, "a"),
                ("west/1/y", 1, 1, "b"),
                ("west/2", 1, 0, "d"),
                ("west/2", 1, 1, "c"),
            ],
        ),
    ],
)
def test_for_a_caller(make: Make, policy: str, caller: Caller, expected: Places) -> None:
    registry = Registry(make(policy).bundle, pods())
    for resources in (
        outbound(registry, lambda s, p: ("127.0.0.9", 1), caller=caller),
        proxyless(registry, caller=caller),
    ):
        assert places(resources.endpoints[NAME]) == expected


@pytest.mark.parametrize(("distribution", "first"), [("PreferSameZone", "ab"), ("PreferSameNode", "a")])
def test_a_services_traffic_distribution(make: Make, distribution: str, first: str) -> None:
    service = replace(make().bundle.services[0], distribution=cast(Distribution, distribution))
    registry = Registry(replace(make().bundle, services=(service,)), pods())
    caller = Caller(locality=Locality("west", "1", "x"), node="node-a")
    resources = outbound(registry, lambda s, p: ("127.0.0.9", 1), caller=caller)
    assert resources.clusters[NAME]["common_lb_config"] == {"locality_weighted_lb_config": {}}
    found = [pods for _, _, priority, pods in places(resources.endpoints[NAME]) if priority == 0]
    assert "".join(sorted(found)) == first


def test_endpoints_as_envoy_takes_them() -> None:
    found = load_assignment("c", [(Endpoint("p", "127.0.0.2", {}, zone="z"), 1)], lambda e, n: {"m": e.pod})
    assert found == {
        "cluster_name": "c",
        "endpoints": [
            {
                "locality": {"zone": "z"},
                "load_balancing_weight": 1,
                "lb_endpoints": [
                    {
                        "endpoint": {
                            "address": {"socket_address": {"address": "127.0.0.2", "port_value": 1}},
                            "hostname": "p",
                        },
                        "load_balancing_weight": 1,
                        "metadata": {"m": "p"},
                    }
                ],
            }
        ],
    }
    assert load_assignment("c", []) == {"cluster_name": "c", "endpoints": []}


def test_what_is_put_together_says_what_its_text_says(make: Make) -> None:
    """The text and the message are made from parts that are kept; the long way leads to the same."""
    policy = (
        "{loadBalancer: {localityLbSetting: {failover: [{from: west, to: north}]}}, outlierDetection: {}}"
    )
    registry = Registry(make(policy).bundle, pods() * 40, mutual_tls=True)
    resources = outbound(registry, lambda s, p: ("127.0.0.9", 1), caller=NEAR)
    text = resources.texts[ENDPOINT][NAME]
    assert json.loads(text) == resources.endpoints[NAME]
    whole = packed(ENDPOINT, text)
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

    parts, plain = ClusterLoadAssignment(), ClusterLoadAssignment()
    packed(ENDPOINT, text, resources.endpoints[NAME]).Unpack(parts)
    whole.Unpack(plain)
    assert parts == plain
    assert sum(len(e.lb_endpoints) for e in plain.endpoints) == 240
