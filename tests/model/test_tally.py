"""The books of a tally."""

from hypothesis import given
from hypothesis import strategies as st

from whichpod.model.codec import from_json, to_json
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.tally import Observation, Tally
from whichpod.model.target import Backend, Target

ends = st.lists(
    st.builds(
        Observation,
        sequence=st.integers(0, 99),
        scheduled_ns=st.integers(0, 50),
        sent_ns=st.integers(50, 100),
        done_ns=st.integers(100, 10_000_000),
        channel=st.integers(0, 3),
        connection=st.sampled_from(["", "a", "b"]),
        backend=st.none() | st.sampled_from("abc").map(lambda x: Backend(x, pod=f"pod-{x}")),
        status=st.sampled_from(["OK", "UNAVAILABLE"]),
        phase=st.sampled_from(["warmup", "measure"]),
    ),
    max_size=50,
)


def tallied(seen: list[Observation]) -> Tally:
    tally = Tally()
    for one in seen:
        if one.phase == "measure":
            tally.started()
        tally.add(one, 0)
    return tally


@given(ends, ends)
def test_merging_is_counting_both(a: list[Observation], b: list[Observation]) -> None:
    merged = tallied(a)
    merged.merge(tallied(b))
    assert merged == tallied(a + b)
    assert merged.balanced_books
    assert merged.done == merged.unattributed + sum(x.done for x in merged.backends.values())


@given(ends)
def test_a_report_survives_the_wire(seen: list[Observation]) -> None:
    report = Report(Target("localhost:1"), Plan(), tallied(seen))
    assert Report.from_text(report.to_text()) == report
    assert from_json(Tally, to_json(report.tally)) == report.tally
