"""Why not one RPC could be done, in words."""

from __future__ import annotations

import re

import grpc

from whichpod.model.errors import TargetError

_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([^:]+)")
_NOISE = re.compile(r"^failed to connect to all addresses; last error: (UNKNOWN|UNAVAILABLE): ")


def described(error: grpc.RpcError) -> str:
    """Status and details of an RPC's failure, without gRPC's wrapping."""
    details = _NOISE.sub("", str(error.details() or ""))
    return f"{error.code().name}: {details[:300]}" if details else str(error.code().name)


def target_error(target: str, error: grpc.RpcError, *, tls: bool, method: str = "") -> TargetError | None:
    """The error of a target that can't be used, told from an RPC's failure.

    None where the failure is one that a working service may give: then it is a result.
    """
    details = str(error.details() or "")
    status = error.code()
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
    if "resolving" in details or "resolution" in details or "Domain name not found" in details:
        return TargetError(
            f"The name in {target} does not resolve.", fix="Check the name and the DNS server."
        )
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
