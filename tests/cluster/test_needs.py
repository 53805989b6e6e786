"""What a lab starts beside its pods, and what it says is missing."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.cluster.manifests import bundle, deployment, policy, service
from whichpod.cluster.local import binaries, needs
from whichpod.cluster.local.needs import caller_of
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client, Via
from whichpod.model.errors import UsageError

ECHO = (deployment(), service(), service("direct", headless=True))
EDGE = deployment(name="edge", image="haproxy", args="[]")
POD = Client(deployment="echo", via=Via.POD)


@pytest.mark.parametrize(
    ("documents", "client", "needed"),
    [
        (ECHO, Client("echo"), True),
        (ECHO, Client("direct"), False),
        (ECHO, Client("echo", meshed=True), False),
        (ECHO, Client("echo", via=Via.XDS), False),
        (ECHO, Client("echo", via=Via.PORT_FORWARD), False),
        (ECHO, POD, False),
        ((*ECHO, EDGE), Client("direct"), True),
        ((deployment(), EDGE, service("direct", headless=True)), Client("direct"), False),
    ],
)
def test_kube_proxy_stands_only_where_a_cluster_ip_may_be_dialled(
    documents: tuple[str, ...], client: Client, needed: bool
) -> None:
    assert needs.needs_kube_proxy(bundle(*documents), client) is needed


def test_what_is_missing_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"envoy", "haproxy"}
    monkeypatch.setattr(binaries, "missing", lambda name: f"no {name}" if name in gone else None)
    assert needs.missing(bundle(*ECHO), Client("direct")) is None
    assert needs.missing(bundle(*ECHO), Client("echo")) == "no envoy"
    assert needs.missing(bundle(*ECHO), Client("echo", meshed=True)) == "no envoy"
    assert needs.missing(bundle(*ECHO), Client("echo", via=Via.XDS)) is None
    assert needs.missing(bundle(deployment(sidecar=True)), POD) == "no envoy"
    assert needs.missing(bundle(deployment(), EDGE), POD) == "no haproxy"


def test_without_the_xds_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    why = needs.missing(bundle(*ECHO), Client("echo", via=Via.XDS))
    assert why
    assert "whichpod[lab]" in why


def test_without_what_makes_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "cryptography" else found(n))
    assert needs.missing(bundle(*ECHO), Client("echo")) is None
    for why in (
        needs.missing(bundle(*ECHO), Client("echo", meshed=True)),
        needs.missing(bundle(deployment(sidecar=True)), POD),
    ):
        assert "The certificates of sidecars" in str(why)


@pytest.mark.parametrize(
    ("mode", "sidecar", "client", "missing"),
    [
        ("STRICT", True, Client("direct", meshed=True), True),
        ("STRICT", True, Client("direct"), False),
        ("STRICT", True, Client("echo", meshed=True), False),
        ("STRICT", False, Client("direct", meshed=True), False),
        ("PERMISSIVE", True, Client("direct", meshed=True), False),
        ("STRICT", True, Client("nobody", meshed=True), False),
    ],
)
def test_a_sidecar_would_have_to_be_on_the_way_to_a_headless_service(
    mode: str, sidecar: bool, client: Client, missing: bool
) -> None:
    what = bundle(deployment(sidecar=sidecar), service(), service("direct", headless=True), policy(mode))
    why = LoopbackCluster().missing(what, client)
    assert (
        ("does not lead through its sidecar" in why) if missing and why else (missing, why) == (False, None)
    )


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in str(needs.missing(bundle(*ECHO), POD))


def test_what_the_control_plane_knows_of_a_client() -> None:
    place = caller_of(Client(service="echo", meshed=True, locality="earth/zone-a")).locality
    assert (place.region, place.zone, place.subzone) == ("earth", "zone-a", "")
    assert str(caller_of(Client(service="echo")).locality) == ""
    with pytest.raises(UsageError, match="locality"):
        Client(service="echo", locality="earth").check()
