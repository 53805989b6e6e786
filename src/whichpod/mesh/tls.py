"""The TLS contexts between sidecars.

Source: Istio, pilot/pkg/networking/core/cluster_tls.go (outbound), pilot/pkg/security/authn/utils (inbound),
networking/util (ALPN). Istio's own filter `istio.alpn`, which Envoy hasn't, offers another list for HTTP:
that one is what stands here where the protocol is known, and `offering` sets it where it is sniffed.
"""

from __future__ import annotations

from collections.abc import Iterable

from whichpod.mesh.identity import CERTIFICATE, ROOT, TRUST_DOMAIN
from whichpod.mesh.pieces import JsonObject, typed

Alpn = tuple[str, ...]
OFFERED_HTTP2: Alpn = ("istio-h2", "istio", "h2")
OFFERED_HTTP1: Alpn = ("istio-http/1.1", "istio", "http/1.1")
OFFERED_TCP: Alpn = ("istio-peer-exchange", "istio")
"""What a caller's sidecar offers; the first ones tell the callee's that it speaks with the mesh."""
MESH_HTTP: Alpn = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_TCP: Alpn = ("istio-peer-exchange", "istio")
MESH: Alpn = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What a callee's sidecar takes as coming from the mesh."""
_TAKEN_HTTP: Alpn = ("h2", "http/1.1")
_TAKEN_TCP: Alpn = ("istio-peer-exchange", "h2", "http/1.1")
_CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
_VERSIONS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}
_TLS = "envoy.transport_sockets.tls"
PLAIN: JsonObject = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": typed("transport_sockets.raw_buffer.v3.RawBuffer"),
}
"""The transport socket that does not encrypt."""


def upstream(alpn: Alpn, sni: str, identities: Iterable[str]) -> JsonObject:
    """A caller's transport socket: mutual TLS with a server that is one of `identities`, any when empty."""
    names = [
        {"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}} for name in identities
    ]
    return {
        "name": _TLS,
        "typed_config": typed(
            "transport_sockets.tls.v3.UpstreamTlsContext", sni=sni, common_tls_context=_common(alpn, names)
        ),
    }


def downstream(*, http: bool) -> JsonObject:
    """A callee's transport socket: mutual TLS with anybody of the trust domain."""
    mesh = {"san_type": "URI", "matcher": {"prefix": f"spiffe://{TRUST_DOMAIN}/"}}
    common = _common(_TAKEN_HTTP if http else _TAKEN_TCP, [mesh])
    common["tls_params"]["cipher_suites"] = list(_CIPHERS)
    return {
        "name": _TLS,
        "typed_config": typed(
            "transport_sockets.tls.v3.DownstreamTlsContext",
            require_client_certificate=True,
            common_tls_context=common,
        ),
    }


def _common(alpn: Alpn, names: list[JsonObject]) -> JsonObject:
    return {
        "alpn_protocols": list(alpn),
        "tls_params": dict(_VERSIONS),
        "tls_certificate_sds_secret_configs": [{"name": CERTIFICATE}],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": names} if names else {},
            "validation_context_sds_secret_config": {"name": ROOT},
        },
    }


def offering(alpn: Alpn) -> JsonObject:
    """An HTTP filter that makes the requests' upstream connections offer `alpn`."""
    value = {"text_format_source": {"inline_string": ",".join(alpn)}}
    return {
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": typed(
            "filters.http.set_filter_state.v3.Config",
            on_request_headers=[
                {"object_key": "envoy.network.application_protocols", "format_string": value}
            ],
        ),
    }
