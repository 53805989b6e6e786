"""Service configs, checked before anything starts, and the policy that comes of one.

Source: gRPC Service Config, https://github.com/grpc/grpc/blob/master/doc/service_config.md, and
grpc.service_config.ServiceConfig of grpc-proto.
"""

from __future__ import annotations

import json
from typing import Any

import grpc

from whichpod.model.errors import UsageError
from whichpod.model.plan import POLICIES, Plan
from whichpod.model.target import Target

_TOP = (
    "loadBalancingConfig", "loadBalancingPolicy", "methodConfig", "retryThrottling", "healthCheckConfig",
    "connectionScaling",
)  # fmt: skip
_METHOD = (
    "name", "waitForReady", "timeout", "maxRequestMessageBytes", "maxResponseMessageBytes", "retryPolicy",
    "hedgingPolicy", "connectionScaling",
)  # fmt: skip


def check_service_config(plan: Plan) -> None:
    """Raises UsageError for a config that gRPC refuses, or of which it would ignore a part in silence."""
    config = plan.effective_service_config()
    if not config:
        return
    _check_names(config, _TOP, "The service config")
    methods = config.get("methodConfig")
    for i, method in enumerate(methods if isinstance(methods, list) else []):
        if isinstance(method, dict):
            _check_names(method, _METHOD, f"methodConfig[{i}]")
    why = _refusal(config)
    if why and plan.policy:
        raise UsageError(
            f"gRPC knows no policy {plan.policy!r}.", fix=f"Among those that it knows: {', '.join(POLICIES)}."
        )
    if why:
        raise UsageError(
            f"gRPC refuses the service config: {why}",
            fix='For example: {"loadBalancingConfig": [{"round_robin": {}}]}',
        )


def policy_in_force(target: Target, plan: Plan) -> str:
    """The client policy, as far as it is known here: xds has it from its control plane."""
    if target.address.startswith("xds:"):
        return "xds"
    config = plan.effective_service_config()
    listed = config.get("loadBalancingConfig")
    for entry in listed if isinstance(listed, list) else []:
        # gRPC takes the first that it knows.
        if isinstance(entry, dict) and entry and not _refusal({"loadBalancingConfig": [entry]}):
            return str(next(iter(entry)))
    return str(config.get("loadBalancingPolicy") or "pick_first").lower()


def _check_names(found: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    for name in found:
        if name not in known:
            raise UsageError(f"{what} has no field {name!r}.", fix=f"It has {', '.join(known)}.")


def _refusal(config: dict[str, Any]) -> str:
    """What gRPC itself says against a config: an RPC with one that it refuses fails before it connects."""
    options = [("grpc.service_config", json.dumps(config)), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel("ipv4:127.0.0.1:1", options=options) as channel:
        try:
            channel.unary_unary("/x/y", None, None)(b"", timeout=1)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                text = str(error.details())
                return text.partition("errors validating service config: ")[2] or text
    return ""
