"""Connections counted through channelz: this run's, and no other's."""

from __future__ import annotations

import threading

import grpc
import pytest

from tests.servers import echo
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.probe.run import probe
from whichpod.probe.sockets import SocketCensus

OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_channelz", 1))


def ready(channel: grpc.Channel) -> None:
    grpc.channel_ready_future(channel).result(5)


def test_only_channels_of_the_census_count() -> None:
    with echo() as server:
        target = f"localhost:{server.port}"
        census = SocketCensus(target)
        other = grpc.insecure_channel(target, options=OPTIONS)
        ours, channel_id = census.adopt(lambda: grpc.insecure_channel(target, options=OPTIONS))
        with other, ours:
            ready(other)
            ready(ours)
            census.sample()
            assert (census.most_open, census.opened) == (1, 1)
            assert list(census.peers) == [f"127.0.0.1:{server.port}"]
            census.disown(channel_id)
            census.most_open = 0
            census.sample()
            assert census.most_open == 0


@pytest.mark.parametrize("listed", [True, False])
def test_probes_at_the_same_time_count_their_own(listed: bool) -> None:
    reports: list[Report] = []
    with echo() as server:
        target = Target(("ipv4:127.0.0.1:" if listed else "127.0.0.1:") + str(server.port))
        threads = [
            threading.Thread(
                target=lambda n=n: reports.append(probe(target, Plan(requests=60, connections=n)))
            )
            for n in (2, 3, 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert {r.plan.connections: r.evidence.connections_open for r in reports} == {2: 2, 3: 3, 4: 4}


def test_the_channel_to_a_control_plane_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with echo() as control_plane:
        creds = '[{"type": "insecure"}]'
        monkeypatch.setenv(
            "GRPC_XDS_BOOTSTRAP_CONFIG",
            f'{{"node": {{"id": "a"}}, "xds_servers": [{{"server_uri": "127.0.0.1:{control_plane.port}", '
            f'"channel_creds": {creds}, "server_features": ["xds_v3"]}}]}}',
        )
        census = SocketCensus("xds:///echo:1")
        channel, _ = census.adopt(lambda: grpc.insecure_channel("xds:///echo:1", options=OPTIONS))
        with channel:
            with pytest.raises(grpc.RpcError):
                channel.unary_unary("/x/y", None, None)(b"", timeout=0.3)
            census.sample()
        assert (census.most_open, list(census.peers)) == (0, [])
