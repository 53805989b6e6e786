from __future__ import annotations

from typing import Any

import pytest

from whichpod.mesh.chains import filter_chains, inspectors
from whichpod.mesh.peers import Mode
from whichpod.mesh.protocol import Wire

H1_AND_2 = "http/1.1 h2c"
MESH = "istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2"
MESH_HTTP = "istio-http/1.0 istio-http/1.1 istio-h2"
MESH_TCP = "istio-peer-exchange istio"


def chains(kind: Wire, mode: Mode, port: int = 0) -> list[dict[str, Any]]:
    return filter_chains(kind, mode, [{"name": "http"}], [{"name": "tcp"}], port=port)


def looks(chain: dict[str, Any]) -> tuple[str, str, str, bool]:
    """Transport, what it says it speaks, which filters get it, and whether TLS ends here."""
    match = chain["filter_chain_match"]
    said = " ".join(match.get("application_protocols", ()))
    return match["transport_protocol"], said, chain["filters"][0]["name"], "transport_socket" in chain


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        (Wire.HTTP2, "DISABLE", [("raw_buffer", "", "http", False)]),
        (Wire.TCP, "DISABLE", [("raw_buffer", "", "tcp", False)]),
        (
            Wire.SNIFFED,
            "DISABLE",
            [("raw_buffer", H1_AND_2, "http", False), ("raw_buffer", "", "tcp", False)],
        ),
        (Wire.HTTP, "PERMISSIVE", [("tls", MESH, "http", True), ("raw_buffer", "", "http", False)]),
        (
            Wire.TCP,
            "PERMISSIVE",
            [("tls", MESH, "tcp", True), ("raw_buffer", "", "tcp", False), ("tls", "", "tcp", False)],
        ),
        (
            Wire.SNIFFED,
            "PERMISSIVE",
            [
                ("tls", MESH_HTTP, "http", True),
                ("raw_buffer", H1_AND_2, "http", False),
                ("tls", MESH_TCP, "tcp", True),
                ("raw_buffer", "", "tcp", False),
                ("tls", "", "tcp", False),
            ],
        ),
        (Wire.HTTP2, "STRICT", [("tls", "", "http", True)]),
        (Wire.TCP, "STRICT", [("tls", "", "tcp", True)]),
        (Wire.SNIFFED, "STRICT", [("tls", MESH_HTTP, "http", True), ("tls", "", "tcp", True)]),
    ],
)
def test_chains(kind: Wire, mode: Mode, expected: list[tuple[str, str, str, bool]]) -> None:
    assert [looks(c) for c in chains(kind, mode)] == expected


def test_callers_must_show_a_certificate_of_the_trust_domain() -> None:
    (chain,) = chains(Wire.HTTP2, "STRICT")
    tls = chain["transport_socket"]["typed_config"]
    assert tls["require_client_certificate"] is True
    common = tls["common_tls_context"]
    assert common["alpn_protocols"] == ["h2", "http/1.1"]
    (name,) = common["combined_validation_context"]["default_validation_context"][
        "match_typed_subject_alt_names"
    ]
    assert name == {"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}
    (chain,) = chains(Wire.TCP, "STRICT")
    common = chain["transport_socket"]["typed_config"]["common_tls_context"]
    assert common["alpn_protocols"] == ["istio-peer-exchange", "h2", "http/1.1"]


def named(found: list[dict[str, Any]]) -> list[str]:
    return [f["name"].rpartition(".")[2] for f in found]


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        (Wire.HTTP2, "DISABLE", []),
        (Wire.SNIFFED, "DISABLE", ["http_inspector"]),
        (Wire.HTTP2, "STRICT", ["tls_inspector"]),
        (Wire.SNIFFED, "PERMISSIVE", ["tls_inspector", "http_inspector"]),
    ],
)
def test_no_more_is_inspected_than_needed(kind: Wire, mode: Mode, expected: list[str]) -> None:
    found = inspectors(chains(kind, mode))
    assert named(found) == expected
    assert all("filter_disabled" not in f for f in found)


def test_ports_that_need_no_inspection_are_left_out() -> None:
    """The rest is sniffed; 80 is HTTP for both, 81 plain TCP, 82 encrypted TCP, 83 plain TCP."""
    several = [
        *chains(Wire.SNIFFED, "PERMISSIVE"),
        *chains(Wire.HTTP2, "PERMISSIVE", 80),
        *chains(Wire.TCP, "DISABLE", 81),
        *chains(Wire.TCP, "STRICT", 82),
        *chains(Wire.TCP, "DISABLE", 83),
    ]
    tls, http = inspectors(several)

    def port(n: int) -> dict[str, Any]:
        return {"destination_port_range": {"start": n, "end": n + 1}}

    assert tls["filter_disabled"] == {"or_match": {"rules": [port(81), port(83)]}}
    assert http["filter_disabled"] == {"or_match": {"rules": [port(80), port(81), port(82), port(83)]}}


def test_only_the_ports_that_need_it_are_inspected() -> None:
    (tls,) = inspectors([*chains(Wire.TCP, "DISABLE"), *chains(Wire.TCP, "STRICT", 82)])
    assert tls["filter_disabled"] == {"not_match": {"destination_port_range": {"start": 82, "end": 83}}}
