"""gRPC channels that each have TCP connections of their own."""

from __future__ import annotations

import json
import os

# Before grpc is imported: its own log lines are no business of a user's.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from whichpod.model.errors import UsageError
from whichpod.model.plan import POLICIES, Plan
from whichpod.model.target import Target
from whichpod.probe.credentials import channel_credentials

Options = list[tuple[str, int | str]]


class Channels:
    """Makes channels to a target as a plan asks. Raises UsageError, before any is used, where it can't."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self._target = target.address
        self._credentials = channel_credentials(target.tls) if target.tls else None
        self._options = _options(target, plan)
        _check_service_config(self._options, plan)

    def make(self) -> grpc.Channel:
        """A new channel. It connects when it is first used."""
        if self._credentials:
            return grpc.secure_channel(self._target, self._credentials, options=self._options)
        return grpc.insecure_channel(self._target, options=self._options)


def policy_in_force(target: Target, plan: Plan) -> str:
    """The client policy, as far as it is known here: xds has it from its control plane."""
    if target.address.startswith("xds:"):
        return "xds"
    listed = plan.effective_service_config().get("loadBalancingConfig")
    if isinstance(listed, list) and listed and isinstance(listed[0], dict) and listed[0]:
        return str(next(iter(listed[0])))
    return "pick_first"


def _options(target: Target, plan: Plan) -> Options:
    options: Options = [
        # Without it, channels with equal addresses and arguments share one connection (grpc #20985).
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_channelz", 1),
        # A proxy of the environment would answer in the servers' place.
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    config = plan.effective_service_config()
    if config:
        options.append(("grpc.service_config", json.dumps(config)))
    if target.authority:
        options.append(("grpc.default_authority", target.authority))
    if target.tls and target.tls.server_name:
        options.append(("grpc.ssl_target_name_override", target.tls.server_name))
    return options


def _check_service_config(options: Options, plan: Plan) -> None:
    """Lets gRPC itself read the config: an RPC with one that it refuses fails before it connects."""
    if not plan.effective_service_config():
        return
    with grpc.insecure_channel("ipv4:127.0.0.1:1", options=options) as channel:
        try:
            channel.unary_unary("/x/y", None, None)(b"", timeout=1)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                return
            why = str(error.details()).partition("errors validating service config: ")[2]
            if plan.policy:
                raise UsageError(
                    f"gRPC knows no policy {plan.policy!r}.",
                    fix=f"Among those that it knows: {', '.join(POLICIES)}.",
                ) from None
            raise UsageError(f"gRPC refuses the service config: {why}") from None
