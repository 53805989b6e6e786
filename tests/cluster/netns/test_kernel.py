"""The rules in the kernel: what they do to connections, in both modes, with and without privileges."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cluster.netns.conftest import (
    GATEWAY,
    NODE,
    PORT,
    Net,
    net,
    skip_where_missing,
    without_privileges,
)
from whichpod.cluster.netns.addresses import pod_address
from whichpod.cluster.netns.loader import load
from whichpod.cluster.netns.rules.interception import INBOUND_PORT, OUTBOUND_PORT, SIDECAR_MARK
from whichpod.cluster.netns.tools import ProxyMode
from whichpod.model.errors import LabError

SERVICE, STICKY, SOLO, EMPTY = "10.96.1.1", "10.96.1.2", "10.96.1.3", "10.96.1.4"
SO_ORIGINAL_DST = 80


@pytest.fixture(scope="module", params=["iptables", "nftables", "iptables, unprivileged"])
def pods(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    mode, _, how = request.param.partition(", ")
    skip_where_missing(ProxyMode(mode))
    with pytest.MonkeyPatch.context() as patch:
        if how:
            without_privileges(tmp_path_factory.mktemp("python"), patch)
        with net(ProxyMode(mode)) as made:
            for name in ("a", "b", "c", "client"):
                made.add(name)
            yield made


@pytest.fixture
def services(pods: Net) -> Net:
    """Services with three endpoints, with affinity, with one endpoint, and with none."""
    pods.rules(
        pods.portal("echo", SERVICE, "a", "b", "c"),
        pods.portal("sticky", STICKY, "a", "b", "c", affinity_s=600),
        pods.portal("solo", SOLO, "a"),
        pods.portal("empty", EMPTY),
    )
    return pods


def test_each_connection_draws_an_endpoint_anew(services: Net) -> None:
    count: Counter[str] = Counter()
    for _ in range(300):
        with services.dial("client", SERVICE, 50051):
            name, accepted = services.accepted("a", "b", "c")
            accepted.close()
        count[name] += 1

    # Six standard deviations: chance passes all but once in many million runs, a rule that is off never does.
    assert set(count) == {"a", "b", "c"}
    assert max(abs(n - 100) for n in count.values()) < 49, count


def test_the_client_talks_to_the_cluster_ip_and_the_pod_to_the_client(services: Net) -> None:
    with services.dial("client", SERVICE, 50051) as dialled:
        name, accepted = services.accepted("a", "b", "c")
        with accepted:
            assert dialled.getpeername() == (SERVICE, 50051)
            assert accepted.getpeername() == dialled.getsockname()
            assert accepted.getsockname() == (services.addresses[name], PORT)
            accepted.sendall(b"from the pod")
            assert dialled.recv(100) == b"from the pod"


def test_a_pod_that_gets_its_own_connection_sees_the_node(services: Net) -> None:
    """Hairpin: without source NAT the pod would answer itself, past the NAT."""
    with services.dial("a", SOLO, 50051) as dialled:
        _, accepted = services.accepted("a")
        with accepted:
            assert accepted.getpeername()[0] == GATEWAY
            dialled.sendall(b"to myself")
            assert accepted.recv(100) == b"to myself"


def test_the_nodes_own_connections_are_masqueraded(services: Net) -> None:
    with services.dial("", SOLO, 50051):
        _, accepted = services.accepted("a")
        with accepted:
            assert accepted.getpeername()[0] in (GATEWAY, NODE)


def test_a_service_without_endpoints_refuses(services: Net) -> None:
    with pytest.raises(ConnectionRefusedError):
        services.dial("client", EMPTY, 50051)


def test_affinity_keeps_a_client_with_its_endpoint_until_that_goes(services: Net) -> None:
    def lands() -> str:
        with services.dial("client", STICKY, 50051):
            name, accepted = services.accepted("a", "b", "c")
            accepted.close()
        return name

    first = lands()
    assert {lands() for _ in range(10)} == {first}
    # Rules that are rewritten for another Service don't forget.
    services.rules(services.portal("sticky", STICKY, "a", "b", "c", affinity_s=600))
    assert {lands() for _ in range(10)} == {first}
    rest = {"a", "b", "c"} - {first}
    services.rules(services.portal("sticky", STICKY, *sorted(rest), affinity_s=600))
    second = lands()
    assert second in rest
    assert {lands() for _ in range(5)} == {second}


def test_a_connection_outlives_its_endpoint(services: Net) -> None:
    with services.dial("client", SOLO, 50051) as dialled:
        _, accepted = services.accepted("a")
        with accepted:
            services.rules(services.portal("solo", SOLO, "b"))
            dialled.sendall(b"still here")
            assert accepted.recv(100) == b"still here"
    with services.dial("client", SOLO, 50051):
        services.accepted("b")[1].close()


def test_rules_that_the_kernel_refuses_change_nothing_and_are_quoted(services: Net) -> None:
    broken = "*nat\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j NOWHERE\nCOMMIT\nadd rule ip nowhere c\n"
    with pytest.raises(LabError, match="The rules of the test can't be loaded") as told:
        services.runner.run(load(services.supervisor, services.mode, "broken", broken, title="the test"))
    assert "It wrote last" in str(told.value)
    with services.dial("client", SOLO, 50051):
        services.accepted("a")[1].close()


@pytest.fixture
def meshed(pods: Net) -> Iterator[Net]:
    """A pod `meshed` whose connections are turned to its sidecar; the test is that."""
    if "meshed" not in pods.addresses:
        pods.add("meshed")
        rules = pods.mode.interception()
        pods.runner.run(load(pods.supervisor, pods.mode, "init", rules, title="the test", network="meshed"))
    for port in (INBOUND_PORT, OUTBOUND_PORT):
        pods.listening[f"meshed:{port}"] = pods.listen("meshed", port)
    yield pods
    for port in (INBOUND_PORT, OUTBOUND_PORT):
        pods.listening.pop(f"meshed:{port}").close()


def test_what_comes_in_goes_to_15006_and_says_where_it_was_going(meshed: Net) -> None:
    with meshed.dial("client", meshed.addresses["meshed"], PORT):
        _, accepted = meshed.accepted(f"meshed:{INBOUND_PORT}")
        with accepted:
            assert original(accepted) == (meshed.addresses["meshed"], PORT)


def test_what_goes_out_goes_to_15001(meshed: Net) -> None:
    with meshed.dial("meshed", "10.96.200.200", 50051):
        _, accepted = meshed.accepted(f"meshed:{OUTBOUND_PORT}")
        with accepted:
            assert original(accepted) == ("10.96.200.200", 50051)


def test_localhost_and_health_ports_are_left_alone(meshed: Net) -> None:
    with meshed.dial("meshed", "127.0.0.1", PORT):
        meshed.accepted("meshed")[1].close()
    with meshed.listen("meshed", 15020), meshed.dial("client", meshed.addresses["meshed"], 15020):
        pass


def test_what_the_sidecar_marks_goes_where_it_says(meshed: Net) -> None:
    with meshed.made("meshed") as own:
        try:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, SIDECAR_MARK)
        except PermissionError:
            pytest.skip("takes CAP_NET_ADMIN in the pod's user namespace, which this process is not in")
        own.connect((meshed.addresses["b"], PORT))
        meshed.accepted("b")[1].close()
    with meshed.made("meshed") as own:
        # From the sidecar to its own pod's address: to the inbound side, as from outside.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, SIDECAR_MARK)
        own.connect((meshed.addresses["meshed"], PORT))
        meshed.accepted(f"meshed:{INBOUND_PORT}")[1].close()


def test_a_hundred_and_more_networks_at_once() -> None:
    skip_where_missing()
    with net(ProxyMode.IPTABLES) as many:
        names = [f"pod-{n}" for n in range(120)]

        async def add() -> None:
            jobs = (many.networks.add(name, pod_address(n), "default") for n, name in enumerate(names))
            await asyncio.gather(*jobs)

        many.runner.run(add())
        with many.listen(names[-1], PORT) as last, many.dial(names[0], pod_address(119), PORT) as dialled:
            accepted, peer = last.accept()
            with accepted:
                assert peer == (pod_address(0), dialled.getsockname()[1])


def original(accepted: socket.socket) -> tuple[str, int]:
    """Where a redirected connection was going: a sockaddr_in."""
    port, address = struct.unpack("!2xH4s8x", accepted.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16))
    return socket.inet_ntoa(address), port
