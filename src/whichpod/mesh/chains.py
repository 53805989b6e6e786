"""A callee's filter chains: what is plain text, what comes from the mesh, and what is HTTP in either.

Source: Istio, pilot/pkg/networking/core/filterchain_options.go and listener_inbound.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from whichpod.mesh import tls
from whichpod.mesh.peers import Mode
from whichpod.mesh.pieces import JsonObject, typed
from whichpod.mesh.protocol import Wire

PLAIN_HTTP: tls.Alpn = ("http/1.1", "h2c")
"""What the HTTP inspector says of plain HTTP that istiod handles as such."""
_HTTP, _TLS = "http_inspector", "tls_inspector"


class _Match(NamedTuple):
    """What a connection must look like to be handled so."""

    encrypted: bool
    http: bool
    alpn: tls.Alpn = ()
    ended: bool = True
    """Whether TLS, if there is any, ends here; else it is passed on as it comes."""


_CHAINS: dict[tuple[Mode, str], tuple[_Match, ...]] = {
    ("DISABLE", "http"): (_Match(False, http=True),),
    ("DISABLE", "tcp"): (_Match(False, http=False),),
    ("DISABLE", "sniffed"): (_Match(False, http=True, alpn=PLAIN_HTTP), _Match(False, http=False)),
    ("PERMISSIVE", "http"): (_Match(True, http=True, alpn=tls.MESH), _Match(False, http=True)),
    ("PERMISSIVE", "tcp"): (
        _Match(True, http=False, alpn=tls.MESH),
        _Match(False, http=False),
        _Match(True, http=False, ended=False),
    ),
    ("PERMISSIVE", "sniffed"): (
        _Match(True, http=True, alpn=tls.MESH_HTTP),
        _Match(False, http=True, alpn=PLAIN_HTTP),
        _Match(True, http=False, alpn=tls.MESH_TCP),
        _Match(False, http=False),
        _Match(True, http=False, ended=False),
    ),
    ("STRICT", "http"): (_Match(True, http=True),),
    ("STRICT", "tcp"): (_Match(True, http=False),),
    ("STRICT", "sniffed"): (_Match(True, http=True, alpn=tls.MESH_HTTP), _Match(True, http=False)),
}
"""Envoy takes the most specific one, and closes a connection that matches none."""


def filter_chains(
    kind: Wire, mode: Mode, http: list[JsonObject], tcp: list[JsonObject], *, port: int = 0
) -> list[JsonObject]:
    """The chains of a port of that protocol in that mode, with the filters for requests and for bytes.

    With a `port` they are for connections whose original destination has that port, for a listener to which
    all connections are redirected.
    """
    of = {Wire.HTTP: "http", Wire.HTTP2: "http", Wire.TCP: "tcp"}.get(kind, "sniffed")
    found = []
    for m in _CHAINS[mode, of]:
        match: JsonObject = {"transport_protocol": "tls" if m.encrypted else "raw_buffer"}
        if port:
            match["destination_port"] = port
        if m.alpn:
            match["application_protocols"] = list(m.alpn)
        chain: JsonObject = {"filter_chain_match": match, "filters": http if m.http else tcp}
        if m.encrypted and m.ended:
            chain["transport_socket"] = tls.downstream(http=m.http)
        found.append(chain)
    return found


def inspectors(chains: Iterable[JsonObject]) -> list[JsonObject]:
    """The listener filters that tell which chain is meant.

    TLS first: of what is encrypted the HTTP inspector sees nothing. Where chains are for ports, a port is
    inspected only for what its chains ask, since an inspector waits for the client to speak.
    """
    wanted: dict[int, set[str]] = {}
    for chain in chains:
        match = chain.get("filter_chain_match", {})
        of_port = wanted.setdefault(match.get("destination_port", 0), set())
        if match.get("transport_protocol") == "tls":
            of_port.add(_TLS)
        if set(PLAIN_HTTP) & set(match.get("application_protocols", ())):
            of_port.add(_HTTP)
    return [
        _inspector(name, wanted) for name in (_TLS, _HTTP) if any(name in needs for needs in wanted.values())
    ]


def _inspector(name: str, wanted: dict[int, set[str]]) -> JsonObject:
    kind = {_TLS: "TlsInspector", _HTTP: "HttpInspector"}[name]
    found: JsonObject = {
        "name": f"envoy.filters.listener.{name}",
        "typed_config": typed(f"filters.listener.{name}.v3.{kind}"),
    }
    ports = {port: name in needs for port, needs in wanted.items() if port}
    by_default = name in wanted.get(0, set())
    differing = [port for port, inspected in sorted(ports.items()) if inspected != by_default]
    if not differing:
        return found
    rules: list[JsonObject] = [{"destination_port_range": {"start": p, "end": p + 1}} for p in differing]
    listed = rules[0] if len(rules) == 1 else {"or_match": {"rules": rules}}
    return found | {"filter_disabled": listed if by_default else {"not_match": listed}}
