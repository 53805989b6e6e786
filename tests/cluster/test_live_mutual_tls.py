"""A policy that changes while a client's connection is up."""

from __future__ import annotations

import asyncio
import time

import grpc

from tests.cluster.manifests import bundle, deployment, policy, service
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client, Via

CLIENT = Client(deployment="echo", via=Via.POD)


def status(channel: grpc.Channel) -> str:
    """Of a health check without a word for any service."""
    try:
        channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)(b"", timeout=5)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def after_ok(channel: grpc.Channel) -> str:
    """The first other status."""
    end = time.monotonic() + 30
    while (found := status(channel)) == "OK" and time.monotonic() < end:
        time.sleep(0.01)
    return found


def test_plain_connections_end_soon_once_mutual_tls_is_asked_for() -> None:
    base = (deployment(sidecar=True, replicas=1), service())

    async def run() -> None:
        async with LoopbackCluster().live(bundle(*base), clients=[CLIENT]) as lab:
            with grpc.insecure_channel(f"{lab.pods[0].ip}:50051") as channel:
                assert await asyncio.to_thread(status, channel) == "OK"
                await lab.apply(bundle(*base, policy("STRICT")))
                assert await asyncio.to_thread(after_ok, channel) == "UNAVAILABLE"
                # The kubelet does not pass through the sidecar.
                assert lab.pods[0].ready

    asyncio.run(run())
