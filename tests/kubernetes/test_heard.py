"""What is left of a client that is lost: the last that it said."""

from __future__ import annotations

from whichpod.cluster.kubernetes.heard import so_far, told
from whichpod.model.errors import ClusterError


def test_what_clients_had_done_is_added_up() -> None:
    one = {"done": 30, "failed": 2, "counts": {"echo-a": 20, "echo-b": 10}}
    other = {"done": 5, "failed": 0, "counts": {"echo-b": 5}}
    assert so_far([one, other]) == "When last heard of, 37 RPCs had ended: echo-a 20, echo-b 15."


def test_many_servers_are_not_all_named() -> None:
    said = {"done": 66, "counts": {f"pod-{n:02}": 12 - n for n in range(12)}}
    assert so_far([said]).endswith(
        "pod-00 12, pod-01 11, pod-02 10, pod-03 9, pod-04 8, pod-05 7, pod-06 6, pod-07 5 and 4 more."
    )


def test_who_had_done_nothing_says_nothing() -> None:
    assert so_far([]) == so_far([{}, {"done": 0, "failed": 0}, {"done": "many", "counts": 7}]) == ""
    assert told(ClusterError("It is lost."), [{}]).message == "It is lost."


def test_an_error_says_what_was_done_before_it() -> None:
    error = told(ClusterError("It is lost.", fix="Try again."), [{"done": 2, "failed": 1}])
    assert told(ClusterError("Unauthorized"), [{"done": 1}]).message == (
        "Unauthorized. When last heard of, 1 RPC had ended."
    )
    assert str(error) == "It is lost. When last heard of, 3 RPCs had ended.\nTry again."
