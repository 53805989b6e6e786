"""What counters say of how traffic is spread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whichpod.cluster.kubernetes.traffic import PodId, Source, Traffic
from whichpod.model.errors import ClusterError

SIDECAR = """\
# HELP istio_requests_total requests
# TYPE istio_requests_total counter
istio_requests_total{{reporter="destination",destination_service_name="echo",request_protocol="grpc",response_code="200",grpc_response_status="0"}} {ok}
istio_requests_total{{reporter="destination",destination_service_name="echo",request_protocol="grpc",response_code="200",grpc_response_status="14"}} {failed}
istio_requests_total{{reporter="source",destination_service_name="db",request_protocol="grpc",response_code="200",grpc_response_status="0"}} 77
istio_requests_total{{reporter="destination",destination_service_name="web",request_protocol="http",response_code="200"}} 5
envoy_server_uptime 12
"""  # noqa: E501 - as it is on the wire
SERVER = """\
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{{grpc_code="OK",grpc_method="Echo",grpc_service="whichpod.echo.v1.EchoService",grpc_type="unary"}} {ok}
grpc_server_handled_total{{grpc_code="OK",grpc_method="Check",grpc_service="grpc.health.v1.Health",grpc_type="unary"}} 1000
grpc_server_handled_total{{grpc_code="DeadlineExceeded",grpc_method="Echo",grpc_service="whichpod.echo.v1.EchoService"}} {failed}
"""  # noqa: E501 - as it is on the wire
OTEL = """\
# TYPE rpc_server_duration_milliseconds histogram
rpc_server_duration_milliseconds_bucket{{rpc_system="grpc",rpc_service="a.B",rpc_grpc_status_code="0",le="+Inf"}} {ok}
rpc_server_duration_milliseconds_sum{{rpc_system="grpc",rpc_service="a.B",rpc_grpc_status_code="0"}} 3
rpc_server_duration_milliseconds_count{{rpc_system="grpc",rpc_service="a.B",rpc_grpc_status_code="0"}} {ok}
rpc_server_duration_milliseconds_count{{rpc_system="grpc",rpc_service="a.B",rpc_grpc_status_code="4"}} {failed}
"""  # noqa: E501 - as it is on the wire
GRPC = """\
# TYPE grpc_server_call_duration_seconds histogram
grpc_server_call_duration_seconds_bucket{{grpc_method="a.B/C",grpc_status="OK",le="+Inf"}} {ok}
grpc_server_call_duration_seconds_sum{{grpc_method="a.B/C",grpc_status="OK"}} 3
grpc_server_call_duration_seconds_count{{grpc_method="a.B/C",grpc_status="OK",otel_scope_name="grpc-go"}} {ok}
grpc_server_call_duration_seconds_count{{grpc_method="a.B/C",grpc_status="UNAVAILABLE"}} {failed}
grpc_server_call_duration_seconds_count{{grpc_method="grpc.health.v1.Health/Check",grpc_status="OK"}} {ok}00
"""
CALL = """\
# TYPE rpc_server_call_duration_seconds histogram
rpc_server_call_duration_seconds_count{{rpc_system_name="grpc",rpc_method="a.B/C",rpc_response_status_code="OK"}} {ok}
rpc_server_call_duration_seconds_count{{rpc_system_name="grpc",rpc_method="a.B/C",rpc_response_status_code="UNAVAILABLE"}} {failed}
rpc_server_call_duration_seconds_count{{rpc_system_name="grpc",rpc_method="grpc.health.v1.Health/Check",rpc_response_status_code="OK"}} {ok}00
rpc_server_call_duration_seconds_count{{rpc_system_name="connectrpc",rpc_method="a.B/C",rpc_response_status_code="OK"}} {ok}00
"""  # noqa: E501 - as it is on the wire
A, B, C = (PodId(f"uid-{n}", f"echo-{n}", f"10.0.0.{n}") for n in (1, 2, 3))


def done(traffic: Traffic) -> dict[str, tuple[int, int]]:
    tally = traffic.tally
    assert tally.balanced_books
    return {b.backend.pod: (b.done, b.failed) for b in tally.backends.values()}


@pytest.mark.parametrize(
    ("text", "source", "status"),
    [
        (SIDECAR, Source.SIDECAR, "UNAVAILABLE"),
        (SERVER, Source.SERVER, "DEADLINE_EXCEEDED"),
        (OTEL, Source.OPENTELEMETRY, "DEADLINE_EXCEEDED"),
        (GRPC, Source.GRPC, "UNAVAILABLE"),
        (CALL, Source.CALL, "UNAVAILABLE"),
        # Instrumentations may give both the old and the new: what comes first counts, and once.
        (OTEL + CALL, Source.CALL, "UNAVAILABLE"),
        (SERVER + GRPC, Source.SERVER, "DEADLINE_EXCEEDED"),
    ],
)
def test_what_came_since_the_first_reading(text: str, source: Source, status: str) -> None:
    traffic = Traffic("echo")
    for pod, ok in ((A, 1_000), (B, 5)):
        traffic.observe(pod, text.format(ok=ok, failed=3), 100)
    assert done(traffic) == {"echo-1": (0, 0), "echo-2": (0, 0)}
    for pod, ok in ((A, 1_040), (B, 45)):
        traffic.observe(pod, text.format(ok=ok, failed=4), 200)
    assert done(traffic) == {"echo-1": (40, 1), "echo-2": (40, 1)}
    assert traffic.tally.statuses == {"OK": 80, status: 2}
    assert traffic.source is source
    assert traffic.pods == ("echo-1", "echo-2")


def test_a_pod_that_is_new_one_that_restarts_and_one_that_goes() -> None:
    traffic = Traffic()
    traffic.observe(A, SERVER.format(ok=100, failed=0), 0)
    traffic.observe(B, SERVER.format(ok=100, failed=0), 0)
    traffic.observe(A, SERVER.format(ok=110, failed=0), 1)
    traffic.observe(B, SERVER.format(ok=7, failed=0), 1)  # began anew
    traffic.observe(C, SERVER.format(ok=9, failed=0), 1)  # was not there before
    traffic.observe(B, SERVER.format(ok=8, failed=0), 2)  # A is gone
    assert done(traffic) == {"echo-1": (10, 0), "echo-2": (8, 0), "echo-3": (9, 0)}


def test_other_services_of_the_pods_do_not_count() -> None:
    traffic = Traffic("other")
    for i in range(2):
        traffic.observe(A, SIDECAR.format(ok=i, failed=i), i)
    assert done(traffic) == {"echo-1": (0, 0)}


def test_a_pod_without_counters_got_nothing() -> None:
    traffic = Traffic()
    for i in range(2):
        traffic.observe(A, SERVER.format(ok=10 * i, failed=0), i)
        traffic.observe(B, "up 1\n", i)
    assert done(traffic) == {"echo-1": (10, 0), "echo-2": (0, 0)}


def test_what_is_no_prometheus_text() -> None:
    traffic = Traffic()
    with pytest.raises(ClusterError, match="can't be read"):
        traffic.observe(A, 'grpc_server_handled_total{grpc_code="OK} x y z', 0)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_counters_that_only_grow_add_up(steps: list[int]) -> None:
    traffic, at = Traffic(), 0
    for now, step in enumerate(steps):
        at += step
        traffic.observe(A, SERVER.format(ok=at, failed=0), now)
    assert done(traffic) == {"echo-1": (sum(steps[1:]), 0)}
