"""Why not one RPC could be done, in words."""

from __future__ import annotations

import re

import grpc

from whichpod.model.errors import TargetError
from whichpod.model.text import printable

_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([^:]+)")
_NOISE = re.compile(
    r"^(failed to connect to all addresses|connections to all backends failing); last error: "
)
_CODE = re.compile(r"^[A-Z_]+: (?=\S)")
_HTTP = re.compile(r"^Received http2 header with status: (\d+)")
_NOT_GRPC = (*range(300, 400), 400, 404, 405, 411, 413, 415)
"""HTTP status codes of a server that knows nothing of gRPC. Others may be a proxy's, for a moment."""
_LONGEST = 10_000
"""Characters of details that are looked at."""
_NO_XDS = re.compile(r"xDS channel|XdsClient|[LRCE]DS resource")
_XDS_SERVER = re.compile(r"xDS channel for server ([^ ]+):")


def described(error: grpc.RpcError) -> str:
    """Status and details of an RPC's failure, without gRPC's wrapping."""
    details, wrapped = _NOISE.subn("", printable(str(error.details() or ""), _LONGEST))
    if wrapped:
        details = _CODE.sub("", details)
    return f"{error.code().name}: {details[:300]}" if details else str(error.code().name)


def target_error(target: str, error: grpc.RpcError, *, tls: bool, method: str = "") -> TargetError | None:
    """The error of a target that can't be used, told from an RPC's failure.

    None where the failure is one that a working service may give: then it is a result.
    """
    details = str(error.details() or "")
    status = error.code()
    http = _HTTP.match(details)
    if http and int(http[1]) in _NOT_GRPC:
        return TargetError(
            f"{target} speaks HTTP/2, but not gRPC (it answers with HTTP status {http[1]}).",
            fix="Check the host, the port and --authority.",
        )
    if status is grpc.StatusCode.UNIMPLEMENTED and method:
        return TargetError(
            f"{target} has no method {method} (UNIMPLEMENTED).",
            fix="Check its name and the server's version.",
        )
    if status is grpc.StatusCode.UNIMPLEMENTED:
        return TargetError(
            f"{target} answers gRPC, but has no echo service (UNIMPLEMENTED).",
            fix="Run `whichpod serve` there, or call a method that it has: --method package.Service/Method.",
        )
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TargetError(
            f"{target} did not answer within the deadline.",
            fix="Is it gRPC, and is TLS meant (--tls)? Otherwise give it longer: --deadline 30s.",
        )
    if status is not grpc.StatusCode.UNAVAILABLE:
        return None
    if target.startswith("xds:") and _NO_XDS.search(details):
        server = _XDS_SERVER.search(details)
        at = f" at {server[1]}" if server else ""
        return TargetError(
            f"The control plane{at} tells nothing of {target}: {_last_reason(details)}",
            fix="Check the bootstrap (GRPC_XDS_BOOTSTRAP), the control plane, and the name.",
        )
    if "resolving" in details or "resolution" in details or "Domain name not found" in details:
        return TargetError(
            f"The name in {target} does not resolve.", fix="Check the name and the DNS server."
        )
    if "connect failed" in details and "No such file" in details:
        return TargetError(f"Nothing listens at {target} (no such socket).", fix="Check the path.")
    if "Connection refused" in details:
        return TargetError(
            f"Nothing listens at {target} (connection refused).", fix="Check the host and the port."
        )
    if "handshake failed" in details or "verification check failed" in details:
        return _tls_error(target, details)
    if "parsing HTTP/2" in details or "http1" in details:
        return TargetError(
            f"{target} does not speak gRPC (its first bytes are not HTTP/2).",
            fix="Check the port; a server that speaks HTTP/1.1 only, or something else, listens there.",
        )
    if "failed to connect" in details and ("Socket closed" in details or "reset by peer" in details):
        hint = "It may ask for a client certificate: --cert and --key." if tls else "It may speak TLS: --tls."
        return TargetError(f"{target} closes the connection before HTTP/2 begins.", fix=hint)
    if "failed to connect" in details or "Network is unreachable" in details:
        why = described(error).partition(": ")[2]
        return TargetError(f"No connection to {target}: {why}", fix="Check the host and the port.")
    return None


def _last_reason(details: str) -> str:
    """The innermost of causes that gRPC strings together."""
    text = printable(details, _LONGEST).partition(" (node ID:")[0]
    return text.rpartition("Failed to connect to remote host: ")[2].rpartition("channel in ")[2][:200]


def _tls_error(target: str, details: str) -> TargetError:
    if "WRONG_VERSION_NUMBER" in details:
        return TargetError(f"{target} does not speak TLS.", fix="Leave --tls and the certificates away.")
    if "Hostname Verification" in details:
        return TargetError(
            f"The certificate of {target} is for another name.", fix="Name it: --server-name NAME."
        )
    why = _CERTIFICATE.search(details)
    if why:
        return TargetError(
            f"The certificate of {target} is not trusted: {why[1]}.",
            fix="Give the roots that it comes from: --ca FILE.",
        )
    return TargetError(f"The TLS handshake with {target} failed.", fix="Check --ca, --cert and --key.")
