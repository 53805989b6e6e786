from __future__ import annotations

import subprocess
import sys

import pytest

from whichpod.mesh import xds
from whichpod.mesh.resources import CLUSTER
from whichpod.model.errors import MissingExtraError


def run(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_nothing_optional_is_imported_before_it_is_needed() -> None:
    run(
        "import sys, whichpod.mesh.ads, whichpod.mesh.inbound, whichpod.mesh.kube_proxy\n"
        "import whichpod.mesh.bootstrap, whichpod.mesh.proxyless, whichpod.manifest.load\n"
        "assert not {'envoy', 'grpc', 'yaml', 'google.protobuf'} & set(sys.modules), sorted(sys.modules)"
    )


OTHERS = """
import importlib.util
import opentelemetry
from google.protobuf import any_pb2, json_format, timestamp_pb2
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
if importlib.util.find_spec("opentelemetry.trace"):
    import opentelemetry.trace
"""
OURS = """
import whichpod.mesh.xds
assert whichpod.mesh.xds.discovery().DiscoveryRequest
"""


@pytest.mark.parametrize("code", [OURS + OTHERS, OTHERS + OURS])
def test_the_packages_that_xds_protos_lies_over_still_import(code: str) -> None:
    run(code)


def test_without_the_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envoy.service.discovery.v3.discovery_pb2", None)
    xds.discovery.cache_clear()
    with pytest.raises(MissingExtraError, match=r"whichpod\[lab\]"):
        xds.discovery()
    monkeypatch.undo()
    assert xds.discovery().DiscoveryRequest


def test_a_field_that_the_type_lacks_is_an_error() -> None:
    from google.protobuf.json_format import ParseError

    with pytest.raises(ParseError, match="lb_polizy"):
        xds.packed(CLUSTER, '{"name": "x", "lb_polizy": "RANDOM"}')
