"""What a lab starts beside its pods, and what it says is missing."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.cluster.manifests import bundle, deployment, service
from whichpod.cluster.local import binaries, needs
from whichpod.cluster.protocol import Client, Via

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


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in str(needs.missing(bundle(*ECHO), POD))
