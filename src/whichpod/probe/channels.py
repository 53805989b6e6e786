"""gRPC channels that each have TCP connections of their own."""

from __future__ import annotations

import json
import os

# Before grpc is imported: its own log lines are no business of a user's.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from whichpod.model.plan import Plan
from whichpod.model.target import Target
from whichpod.probe.credentials import channel_credentials
from whichpod.probe.service_config import check_service_config

Options = list[tuple[str, int | str]]


class Channels:
    """Makes channels to a target as a plan asks. Raises UsageError, before any is used, where it can't."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self._target = target.address
        self._credentials = channel_credentials(target.tls) if target.tls else None
        self._options = _options(target, plan)
        check_service_config(plan)

    def make(self) -> grpc.Channel:
        """A new channel. It connects when it is first used."""
        if self._credentials:
            return grpc.secure_channel(self._target, self._credentials, options=self._options)
        return grpc.insecure_channel(self._target, options=self._options)


def _options(target: Target, plan: Plan) -> Options:
    options: Options = [
        # Without it, channels with equal addresses and arguments share one connection (grpc #20985).
        ("grpc.use_local_subchannel_pool", int(not plan.shared_subchannels)),
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
    return [*options, *plan.channel_options]
