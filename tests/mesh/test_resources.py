from __future__ import annotations

from whichpod.mesh.resources import CLUSTER, TYPES, Resources


def test_the_version_is_that_of_the_content() -> None:
    a = Resources({"x": {"name": "x", "type": "EDS"}, "y": {"name": "y"}})
    b = Resources({"y": {"name": "y"}, "x": {"type": "EDS", "name": "x"}})
    assert a.version == b.version
    assert a.version != Resources({"x": {"name": "x"}}).version
    assert Resources().version != a.version


def test_both() -> None:
    both = Resources({"x": {"a": 1}}, listeners={"l": {}}) | Resources({"x": {"a": 2}, "y": {}})
    assert both.clusters == {"x": {"a": 2}, "y": {}}
    assert both.of(CLUSTER) == both.clusters
    assert both.of("other") == {}
    assert [len(both.of(t)) for t in TYPES] == [2, 0, 1, 0]
