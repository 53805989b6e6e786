"""Objects as they were written, with what the bundle changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from whichpod.manifest.documents import documents
from whichpod.manifest.engines import served_by
from whichpod.manifest.load import load, load_text
from whichpod.scenarios.scenario import Scenario, scenarios

TEXT = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: echo}}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: c, annotations: &a {x: "1"}}
  data: {y: "off", <<: *a}
"""


def test_what_was_written_is_there_whatever_a_lab_makes_of_it() -> None:
    assert documents(load_text(TEXT)) == [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "echo"}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c", "annotations": {"x": "1"}},
            "data": {"y": "off", "x": "1"},
        },
    ]


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: s.name)
def test_scenarios_are_as_yaml_reads_them(scenario: Scenario) -> None:
    texts = [path.read_text() for path in scenario.manifests]
    assert documents(load(*scenario.manifests)) == [d for t in texts for d in yaml.safe_load_all(t) if d]


def test_replicas_and_arguments_follow_the_bundle() -> None:
    scenario = next(s for s in scenarios() if s.name == "istio")
    bundle = scenario.bundle()
    before = documents(bundle)
    after = documents(served_by(bundle.scaled("echo", 7), "fast"))
    expected: list[dict[str, Any]] = copy.deepcopy(before)
    expected[0]["spec"]["replicas"] = 7
    expected[0]["spec"]["template"]["spec"]["containers"][0]["args"] = ["serve", "--engine", "fast"]
    assert after == expected
    # Each caller's own.
    after[0]["metadata"]["name"] = "other"
    assert documents(bundle) == before
