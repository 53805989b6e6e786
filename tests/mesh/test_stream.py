"""The subscription state of one stream, with real discovery messages and no network."""

from __future__ import annotations

from typing import Any

import pytest

from whichpod.mesh.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resources
from whichpod.mesh.stream import Stream
from whichpod.mesh.xds import discovery


def request(type_url: str, names: tuple[str, ...] = (), nonce: str = "", error: str = "") -> Any:
    found = discovery().DiscoveryRequest(type_url=type_url, resource_names=names, response_nonce=nonce)
    found.node.id = "n"
    if error:
        found.error_detail.message = error
    return found


def load(name: str, pods: int = 1) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}] * pods}]
    return {"cluster_name": name, "endpoints": endpoints}


def resources(pods: int = 1, timeout: str = "1s", more: bool = False) -> Resources:
    names = ("a", "b") if more else ("a",)
    return Resources(
        {n: {"name": n, "type": "EDS", "connect_timeout": timeout} for n in names},
        {n: load(n, pods) for n in names},
        {"l": {"name": "l"}},
    )


def sent(stream: Stream, snapshot: Resources) -> list[tuple[str, int, str]]:
    return [(r.type_url, len(r.resources), r.nonce) for r in stream.due(snapshot)]


@pytest.fixture
def proxy() -> Stream:
    """A proxy's stream that has taken `resources()`."""
    stream = Stream()
    snapshot = resources()
    for url, names in ((CLUSTER, ()), (ENDPOINT, ("a",)), (LISTENER, ())):
        stream.take(request(url, names))
        ((_, _, nonce),) = sent(stream, snapshot)
        stream.take(request(url, names, nonce))
    assert stream.pending(snapshot) == set()
    return stream


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    stream = Stream()
    assert sent(stream, resources()) == []
    stream.take(request(ENDPOINT, ("a", "unknown")))
    assert sent(stream, resources(more=True)) == [(ENDPOINT, 1, "1")]
    assert stream.node == "n"


def test_nothing_is_sent_twice(proxy: Stream) -> None:
    assert sent(proxy, resources()) == []
    assert sent(proxy, resources(pods=2)) == [(ENDPOINT, 1, "4")]
    assert proxy.pending(resources(pods=2)) == {ENDPOINT}
    proxy.take(request(ENDPOINT, ("a",), "4"))
    assert sent(proxy, resources(pods=2)) == []
    assert proxy.pending(resources(pods=2)) == set()


def test_a_changed_cluster_is_followed_by_its_endpoints(proxy: Stream) -> None:
    changed = resources(timeout="2s")
    assert sent(proxy, changed) == [(CLUSTER, 1, "4"), (ENDPOINT, 1, "5")]


def test_a_new_cluster_counts_as_pending_until_its_endpoints_are_asked_for(proxy: Stream) -> None:
    more = resources(more=True)
    assert sent(proxy, more) == [(CLUSTER, 2, "4"), (ENDPOINT, 1, "5")]
    proxy.take(request(CLUSTER, (), "4"))
    proxy.take(request(ENDPOINT, ("a",), "5"))
    assert proxy.pending(more) == {ENDPOINT}
    proxy.take(request(ENDPOINT, ("a", "b"), "5"))
    assert sent(proxy, more) == [(ENDPOINT, 2, "6")]
    proxy.take(request(ENDPOINT, ("a", "b"), "6"))
    assert proxy.pending(more) == set()


def test_asking_again_is_answered(proxy: Stream) -> None:
    proxy.take(request(ENDPOINT, ("a",), "2"))
    assert sent(proxy, resources()) == [(ENDPOINT, 1, "4")]


def test_an_outdated_answer_counts_for_nothing(proxy: Stream) -> None:
    assert sent(proxy, resources(pods=2)) == [(ENDPOINT, 1, "4")]
    assert proxy.take(request(ENDPOINT, ("a",), "2", "too late")) is None
    assert proxy.refusal(resources(pods=2)) is None
    assert proxy.pending(resources(pods=2)) == {ENDPOINT}


def test_a_refusal_is_not_sent_again(proxy: Stream) -> None:
    changed = resources(timeout="2s")
    assert sent(proxy, changed)[0] == (CLUSTER, 1, "4")
    assert proxy.take(request(CLUSTER, (), "4", "no such thing\n")) == "no such thing"
    assert sent(proxy, changed) == []
    assert proxy.refusal(changed) == (CLUSTER, "no such thing")
    assert proxy.refusal(resources()) is None


def test_a_client_that_unsubscribes_is_left_alone(proxy: Stream) -> None:
    proxy.take(request(ENDPOINT, (), "2"))
    assert sent(proxy, resources(pods=3)) == []


def test_a_client_that_asks_by_name_is_settled_with_what_it_asked_for() -> None:
    stream = Stream()
    snapshot = resources(more=True)
    assert stream.pending(snapshot) == {LISTENER}
    stream.take(request(LISTENER, ("l",)))
    assert sent(stream, snapshot) == [(LISTENER, 1, "1")]
    stream.take(request(LISTENER, ("l",), "1"))
    assert stream.pending(snapshot) == set()


def test_what_is_not_there_is_answered_with_nothing() -> None:
    stream = Stream()
    stream.take(request(LISTENER, ("nobody",)))
    assert sent(stream, resources()) == [(LISTENER, 0, "1")]


def test_other_types_are_ignored() -> None:
    stream = Stream()
    stream.take(request("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"))
    assert sent(stream, resources()) == []
    assert stream.pending(resources()) == {LISTENER}
    assert ROUTE not in stream.pending(resources())
