"""Any method of any service: types by reflection, servers by what their answers carry."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tests.servers import echoes, tcp
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.report import Report
from whichpod.model.target import Target
from whichpod.probe.address import parse_address
from whichpod.probe.methods import MethodCalls
from whichpod.probe.reflection import learn
from whichpod.probe.run import probe

CHECK = "grpc.health.v1.Health/Check"


class Named(health.HealthServicer):
    """A service that isn't ours and names itself in a header and a trailer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.set("", health_pb2.HealthCheckResponse.SERVING)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        context.send_initial_metadata((("x-served-by", self._name),))
        context.set_trailing_metadata((("x-last", self._name.upper()),))
        return super().Check(request, context)


def _stop(server: grpc.Server) -> None:
    server.stop(0).wait()


@contextmanager
def others(count: int, *, reflected: bool = True) -> Iterator[Target]:
    with ExitStack() as stack:
        ports = []
        for i in range(count):
            server = grpc.server(futures.ThreadPoolExecutor(8))
            health_pb2_grpc.add_HealthServicer_to_server(Named(f"pod-{i}"), server)
            if reflected:
                reflection.enable_server_reflection((health.SERVICE_NAME, reflection.SERVICE_NAME), server)
            ports.append(server.add_insecure_port("127.0.0.1:0"))
            server.start()
            stack.callback(_stop, server)
        yield Target("ipv4:" + ",".join(f"127.0.0.1:{p}" for p in ports))


def counts(report: Report) -> dict[str, int]:
    return {b.backend.label: b.done for b in report.tally.backends.values()}


@pytest.mark.parametrize(
    ("identify", "names"),
    [("header:x-served-by", ["pod-0", "pod-1", "pod-2"]), ("trailer:X-Last", ["POD-0", "POD-1", "POD-2"])],
)
def test_servers_are_told_by_metadata(identify: str, names: list[str]) -> None:
    plan = Plan(requests=30, method=CHECK, identify=identify, policy="round_robin", warmup=1)
    with others(3) as target:
        report = probe(target, plan)
    assert counts(report) == dict.fromkeys(names, 10)
    assert {b.backend.learnt for b in report.tally.backends.values()} == {"header"}
    assert report.evidence.connections_open == 3


def test_servers_are_told_by_a_field() -> None:
    plan = Plan(
        requests=20, method="whichpod.echo.v1.EchoService/Echo", data='{"payload": "aGk="}',
        identify="field:server.pod", policy="round_robin", warmup=1,
    )  # fmt: skip
    with echoes(2) as servers:
        report = probe(Target("ipv4:" + ",".join(f"127.0.0.1:{s.port}" for s in servers)), plan)
    assert counts(report) == {"echo-0": 10, "echo-1": 10}


def test_our_own_servers_name_themselves_in_trailers() -> None:
    with echoes(1) as servers:
        plan = Plan(requests=5, method="whichpod.echo.v1.EchoService/Echo")
        report = probe(Target(f"127.0.0.1:{servers[0].port}"), plan)
    assert counts(report) == {"echo-0": 5}


def test_answers_that_name_nobody_are_said_to() -> None:
    with others(1) as target:
        report = probe(target, Plan(requests=5, method=CHECK))
    assert report.tally.unattributed == report.tally.done == 5


def by_peer(report: Report) -> dict[str, int]:
    assert {b.backend.learnt for b in report.tally.backends.values()} <= {"peer"}
    return counts(report)


def test_servers_are_told_by_their_connection_where_they_tell_nothing() -> None:
    plan = Plan(requests=30, method=CHECK, identify="peer", policy="round_robin", warmup=1)
    with others(3) as target:
        report = probe(target, plan)
        assert by_peer(report) == dict.fromkeys(parse_address(target.address).listed, 10)
        many = probe(target, dataclasses.replace(plan, requests=60, connections=4, warmup=4))
        assert sum(by_peer(many).values()) == 60
        assert len(many.tally.channels) == 4
        once = probe(target, dataclasses.replace(plan, requests=6, new_connection_per_request=True))
        assert sum(by_peer(once).values()) == 6
    assert report.tally.unattributed == many.tally.unattributed == once.tally.unattributed == 0


def test_the_peer_is_the_one_that_the_server_says_it_is() -> None:
    """Told both ways, RPC by RPC, the counts agree whatever the balancer does."""
    plan = Plan(
        requests=40, connections=2, method="whichpod.echo.v1.EchoService/Echo", policy="weighted_round_robin"
    )
    with echoes(3) as servers:
        ports = {f"127.0.0.1:{s.port}": f"echo-{i}" for i, s in enumerate(servers)}
        target = Target("ipv4:" + ",".join(ports))
        real = MethodCalls._backend
        said: Counter[str] = Counter()

        def listening(self: MethodCalls, reply: Any, done: Any) -> Any:
            said[reply.server.pod] += 1
            return real(self, reply, done)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MethodCalls, "_backend", listening)
            report = probe(target, dataclasses.replace(plan, identify="peer"))
    assert Counter({ports[peer]: n for peer, n in by_peer(report).items()}) == said


def test_failures_are_laid_to_the_peer_too() -> None:
    plan = Plan(requests=5, method=CHECK, data='{"service": "none"}', identify="peer")
    with others(1) as target:
        (backend,) = probe(target, plan).tally.backends.values()
    assert (backend.backend.id, backend.failed) == (target.address.removeprefix("ipv4:"), 5)


def test_a_new_connection_for_each_works_too() -> None:
    plan = Plan(requests=4, method=CHECK, identify="header:x-served-by", new_connection_per_request=True)
    with others(1) as target:
        report = probe(target, plan)
    assert report.tally.done == 4
    assert report.evidence.connections_opened == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "Check"}, "is no method"),
        ({"method": "grpc.health.v1.Nope/Check"}, "has no service grpc.health.v1.Nope"),
        ({"method": "grpc.health.v1.Health/Nope"}, "has no method Nope"),
        ({"method": "grpc.health.v1.Health/Watch"}, "streams"),
        ({"data": "{"}, "--data is no grpc.health.v1.HealthCheckRequest"),
        ({"data": '{"colour": 1}'}, "colour"),
        ({"identify": "field:nope"}, "no field nope"),
        ({"identify": "field:status.nope"}, "no field status.nope"),
        ({"identify": "pod"}, "'pod' is not understood"),
        ({"identify": "peer", "concurrency": 2}, "can't tell RPCs apart"),
        ({"identify": "peer", "rate": 10.0}, "can't tell RPCs apart"),
        ({"method": "", "data": "{}"}, "belong to --method"),
        ({"payload_size": 4}, "belong to the echo service"),
    ],
)
def test_what_the_types_do_not_have_is_refused(changes: dict[str, Any], said: str) -> None:
    with others(1) as target, pytest.raises(UsageError, match=said):
        probe(target, Plan(**{"method": CHECK, **changes}))


@pytest.mark.parametrize(
    ("method", "data", "path", "said"),
    [
        ("grpc.health.v1.Health/List", "", "statuses", "field statuses is a list"),
        ("whichpod.echo.v1.EchoService/Echo", "", "server", "is a whichpod.echo.v1.Server"),
    ],
)
def test_a_field_that_names_nobody_is_refused(method: str, data: str, path: str, said: str) -> None:
    with echoes(1) as servers, pytest.raises(UsageError, match=said):
        probe(
            Target(f"127.0.0.1:{servers[0].port}"), Plan(method=method, data=data, identify=f"field:{path}")
        )


def test_a_method_is_learnt_as_the_wire_has_it() -> None:
    method = "whichpod.echo.v1.EchoService/Echo"
    plan = Plan(method=method, data='{"payload": "YWI="}', identify="field:server.pod")
    with echoes(1) as servers:
        found = learn(Target(f"127.0.0.1:{servers[0].port}"), plan)
    assert (found.path, found.request) == (f"/{method}", b"\x0a\x02ab")
    assert found.numbers == (1, 2)


def test_a_server_without_reflection_or_that_is_silent() -> None:
    with others(1, reflected=False) as target, pytest.raises(TargetError, match="no server reflection"):
        probe(target, Plan(method=CHECK))
    with tcp(None) as port, pytest.raises(TargetError, match="did not answer"):
        probe(Target(f"127.0.0.1:{port}"), Plan(method=CHECK, deadline_s=0.3))
    with pytest.raises(TargetError, match="Nothing listens"):
        probe(Target("127.0.0.1:1"), Plan(method=CHECK))
