"""Names and marks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whichpod.cluster.kubernetes.dress import namespace_document
from whichpod.cluster.kubernetes.names import fitting, ours, selector


def test_a_selector_selects_a_run_or_all() -> None:
    assert selector("r1") == "app.kubernetes.io/managed-by=whichpod,whichpod.io/run=r1"
    assert selector() == "app.kubernetes.io/managed-by=whichpod"
    assert not ours({"metadata": {}})
    assert not ours({})


@given(st.lists(st.text(max_size=80), min_size=1, max_size=3), st.integers(12, 63))
def test_names_fit(parts: list[str], most: int) -> None:
    name = fitting(*parts, most=most)
    namespace_document(name, run=name)
    assert len(name) <= most
    long = "x" * 80
    assert fitting(long, "a", most=most) != fitting(long, "b", most=most)
