"""Scenarios as written down: the built-in ones are sound, and broken ones are refused in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import served_by
from whichpod.manifest.kinds import EnvVar, Local
from whichpod.model.errors import UsageError
from whichpod.model.expectation import Expect
from whichpod.scenarios.scenario import BUILT_IN, Scenario, read_scenario, scenarios, selected

GOOD = """
title = "A row"
expect = "even"
manifests = ["pods.yaml"]
why = "Because."
[client]
service = "echo"
[plan]
requests = 50
"""
FAST = ("--engine", "fast")
EXPECTED = {
    "local-single": "single", "local-connections": "single", "clusterip": "none",
    "clusterip-connections": "pinned=5", "clusterip-round-robin": "none", "multi-endpoint": "even",
    "headless-pick-first": "none", "headless-round-robin": "even", "connection-age": "at-least=2",
    "istio": "exact", "istio-caller-only": "exact",
    "istio-least-request": "random", "istio-port-forward": "none", "istio-tcp-port": "none",
    "istio-stream": "none", "istio-streams": "even", "istio-grpcroute": "exact", "istio-strict": "exact",
    "istio-strict-plain": "refused",
    "proxyless": "even", "edge-envoy": "even", "edge-nginx": "even", "edge-caddy": "even",
    "edge-haproxy": "even", "gateway-grpcroute": "even",
}  # fmt: skip


def test_the_built_in_rows_are_those_meant_in_order() -> None:
    assert {s.name: str(s.expectation) for s in scenarios()} == EXPECTED
    assert [s.name for s in scenarios()] == list(EXPECTED)


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: s.name)
def test_each_row_has_its_yaml_and_says_why(scenario: object) -> None:
    s = next(x for x in scenarios() if x is scenario or x == scenario)
    bundle = s.bundle(pods=7)
    assert all(d.replicas == 7 for d in bundle.deployments if d.meta.name == s.scale)
    assert 2 <= s.why.count(". ") + 1 <= 4
    assert s.title
    assert 0 < len(s.because) <= 60
    page = BUILT_IN.parents[2] / "docs" / "configurations" / f"{s.name}.md"
    assert page.is_file()


def test_only_where_nobody_should_answer_may_all_fail() -> None:
    assert [s.name for s in scenarios() if s.plan_for(None, 7).may_fail] == ["istio-strict-plain"]


def test_more_pods_get_more_requests_unless_told() -> None:
    by_name = {s.name: s for s in scenarios()}
    assert by_name["istio"].plan_for(None, None).requests == 50
    assert by_name["istio"].plan_for(50, None).requests == 500
    assert by_name["istio"].plan_for(50, 70).requests == 70
    assert by_name["local-connections"].plan_for(50, None).requests == 1000
    stream = by_name["istio-stream"].plan_for(None, 80)
    assert (stream.requests, stream.messages) == (1, 80)
    assert by_name["connection-age"].plan_for(50, None).requests == 50
    assert by_name["edge-envoy"].plan_for(2, None).requests == 256
    assert by_name["edge-envoy"].plan_for(4, None).requests == 50


def test_selection_takes_globs() -> None:
    names = [s.name for s in selected(scenarios(), ["istio*", "clusterip"], ["istio-s*"])]
    assert names == [
        "clusterip", "istio", "istio-caller-only", "istio-least-request", "istio-port-forward",
        "istio-tcp-port", "istio-grpcroute",
    ]  # fmt: skip


@pytest.mark.parametrize(("only", "skip"), [(["nope"], []), ([], ["nope"]), (["istio"], ["istio"])])
def test_selections_that_mean_nothing_are_refused(only: list[str], skip: list[str]) -> None:
    with pytest.raises(UsageError):
        selected(scenarios(), only, skip)


def write(folder: Path, text: str) -> Path:
    (folder / "row").mkdir()
    (folder / "row" / "scenario.toml").write_text(text)
    return folder


def test_a_row_of_ones_own(tmp_path: Path) -> None:
    found = scenarios(write(tmp_path, GOOD))
    assert [s.name for s in found] == ["row"]
    assert found[0].expectation.kind is Expect.EVEN


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("title", "titel"), "'titel' is not known"),
        (('title = "A row"', ""), "title is missing"),
        (('"even"', '"evn"'), "no expectation 'evn'"),
        (("requests = 50", "requests = 0"), "--requests 0"),
        (("requests = 50", 'requests = "many"'), "Plan.requests"),
        (('service = "echo"', 'service = "echo"\nvia = "pigeon"'), "'pigeon' is not a Via"),
        (('service = "echo"', 'deployment = "echo"'), "a service, not a deployment"),
        (("[plan]", "[plan"), "scenario.toml"),
    ],
)
def test_a_broken_row_is_refused_by_name(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=r"scenario\.toml: ") as refused:
        scenarios(write(tmp_path, GOOD.replace(*change)))
    assert said in refused.value.message


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no scenario"):
        scenarios(tmp_path)
    with pytest.raises(UsageError, match="can't be read"):
        read_scenario(tmp_path)


def test_clients_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="can't have a sidecar"):
        Client(service="echo", via=Via.XDS, meshed=True).check()
    with pytest.raises(UsageError, match="a deployment, not a service"):
        Client(service="echo", via=Via.POD).check()


def _engines(scenario: Scenario, engine: str) -> set[str]:
    found = set()
    for deployment in scenario.bundle(None, engine).deployments:
        for container in deployment.containers:
            if container.args[:1] == ("serve",):
                found.add(container.args[-1] if "--engine" in container.args else "grpcio")
    return found


def test_the_engine_is_the_runs_choice_save_where_grpc_itself_is_the_point() -> None:
    fast = {s.name for s in scenarios() if _engines(s, "fast") == {"fast"}}
    assert set(EXPECTED) - fast == {"connection-age"}
    assert all(_engines(s, "grpcio") == {"grpcio"} for s in scenarios())


def test_an_engine_that_is_none() -> None:
    with pytest.raises(UsageError, match="no engine 'quick'"):
        scenarios()[0].bundle(None, "quick")


def test_a_row_with_an_engine_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text('engine = "quick"\n' + GOOD)
    with pytest.raises(UsageError, match=r"scenario\.toml: There is no engine"):
        read_scenario(tmp_path)


def served(container: dict[str, Any], engine: str = "fast") -> tuple[str, ...]:
    deployment = scenarios()[0].bundle().deployments[0]
    changed = replace(deployment.containers[0], **container)
    bundle = served_by(Bundle(deployments=(replace(deployment, containers=(changed,)),)), engine)
    return bundle.deployments[0].containers[0].args


@pytest.mark.parametrize(
    ("container", "args"),
    [
        ({"args": ("serve",)}, ("serve", *FAST)),
        ({}, ("serve", *FAST)),
        ({"command": ("python", "-m", "whichpod", "serve")}, FAST),
        ({"command": ("whichpod",), "args": ("serve", "--port", "1")}, ("serve", "--port", "1", *FAST)),
        ({"args": ("serve", "--engine=grpcio")}, ("serve", "--engine=grpcio")),
        ({"env": (EnvVar("WHICHPOD_ENGINE", "grpcio"),)}, ()),
        ({"args": ("other",)}, ("other",)),
        ({"image": "nginx:1"}, ()),
        ({"args": ("serve",), "local": Local("./shop serve", "/shop", "/")}, ("serve",)),
    ],
)
def test_servers_that_name_no_engine_get_one(container: dict[str, Any], args: tuple[str, ...]) -> None:
    assert served({"args": (), **container}) == args
    assert served({"args": (), **container}, "grpcio") == container.get("args", ())
