"""The flags of `whichpod serve`.

One definition for the command line and for a lab's pods, whose manifests have `args: [serve, ...]`. It needs
the standard library only, so that a pod starts fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from whichpod.echo.faults import HOWS, Failure, parse_delay
from whichpod.echo.orca import parse_reports
from whichpod.echo.settings import ENGINES, ServerSettings
from whichpod.model.errors import UsageError
from whichpod.model.units import parse_duration

_EPILOG = """\
Examples:
  GRPC_PORT=50051 whichpod serve
  whichpod serve --port 50052 --host 127.0.0.1
  whichpod serve --max-connection-age 30s --max-connection-age-grace 10s
  whichpod serve --delay uniform:5ms..20ms --fail-rate 0.1 --fail-code UNAVAILABLE
  whichpod serve --fail-rate 1 --fail-how after-headers
  whichpod serve --faults faults.json    # {"delay": "100ms"}; kill -HUP has it read again
  whichpod serve --load-reports auto     # for weighted_round_robin
  whichpod serve --engine fast --port 20000 --pods 100
  whichpod serve --engine fast --host 127.0.1.1 --pods 1000 --pods-on addresses
  whichpod serve --tls-cert server.pem --tls-key server.key --tls-client-ca ca.pem

Times are written like 500ms, 10s or 1m30s.
SIGHUP reads --faults again, for the RPCs that begin then; what the file doesn't say is as the flags say.
SIGTERM drains: health says NOT_SERVING, clients get GOAWAY, RPCs in flight finish within --grace.
Who answers is read from POD_NAME, POD_IP, POD_NAMESPACE, NODE_NAME and ZONE.
"""


def build_parser() -> argparse.ArgumentParser:
    """The flags, with their help."""
    parser = argparse.ArgumentParser(
        prog="whichpod serve",
        description="Run the echo service: every answer says who answered.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--engine",
        help="grpcio, or fast: whichpod's own HTTP/2 core, a few us an RPC, one thread, no channelz "
        "[default: WHICHPOD_ENGINE, else grpcio]",
    )
    add(
        "--pods",
        metavar="COUNT",
        type=int,
        default=1,
        help="pods to stand for with --engine fast, each with a name, an id and an address of its own "
        "[default: 1]",
    )
    add(
        "--pods-on",
        metavar="WHAT",
        default="ports",
        help="ports: on as many ports, from --port on; addresses: on as many addresses, from --host on "
        "[default: ports]",
    )
    add("--port", type=int, help="port to listen on, 0 for a free one [default: GRPC_PORT, else 50051]")
    add("--host", default="[::]", help="address to listen on [default: all, IPv4 and IPv6]")
    add(
        "--max-connection-age",
        metavar="TIME",
        default="0s",
        help="end connections of this age, give or take a tenth, with GOAWAY [default: never]",
    )
    add(
        "--max-connection-age-grace",
        metavar="TIME",
        default="0s",
        help="cut the RPCs that still run so long after that [default: never]",
    )
    add(
        "--delay",
        default="0s",
        help="wait before each answer: 10ms, uniform:LEAST..MOST, normal:MEAN,DEVIATION, exponential:MEAN "
        "or lognormal:MEDIAN,SIGMA (sigma is a plain number) [default: none]",
    )
    add("--fail-rate", metavar="SHARE", type=float, default=0.0, help="share of RPCs that fail, 0 to 1")
    add("--fail-code", metavar="CODE", default="UNAVAILABLE", help="their gRPC status [default: UNAVAILABLE]")
    add(
        "--fail-how",
        metavar="HOW",
        default=HOWS[0],
        help="what their status comes after: nothing (trailers-only), header fields (after-headers) or the "
        "first answer (after-message) [default: trailers-only]",
    )
    add(
        "--faults",
        metavar="FILE",
        help="JSON with delay, fail_rate, fail_code, fail_how, and the same by pod under pods; SIGHUP has it "
        "read again [default: WHICHPOD_FAULTS]",
    )
    add(
        "--load-reports",
        metavar="WHAT",
        default="off",
        help="say in trailers (ORCA) what the server's load is: auto, as measured, or always the same, like "
        "utilization=0.5,qps=100, of utilization, qps, eps, cpu and mem [default: off]",
    )
    add("--seed", type=int, default=0, help="repeat the same delays and failures [default: fresh ones]")
    add("--tls-cert", metavar="FILE", default="", help="PEM certificate chain: turns TLS on")
    add("--tls-key", metavar="FILE", default="", help="PEM key of it, without a password")
    add(
        "--tls-client-ca",
        metavar="FILE",
        default="",
        help="PEM roots that clients' certificates must come from: turns mutual TLS on",
    )
    add(
        "--max-message-size",
        metavar="BYTES",
        type=int,
        default=4 << 20,
        help="largest payload taken; above it RESOURCE_EXHAUSTED [default: 4194304, 4 MiB]",
    )
    add(
        "--max-concurrent-streams",
        metavar="COUNT",
        type=int,
        default=0,
        help="RPCs that a connection may have open at a time; more wait in the client "
        "[default: 1000 with --engine fast, else no limit]",
    )
    add(
        "--workers",
        type=int,
        default=256,
        help="RPCs served at a time, a stream counts as one; more wait. The fast engine takes any number; "
        "for --load-reports this is what is full [default: 256]",
    )
    add(
        "--grace",
        metavar="TIME",
        default="10s",
        help="time for RPCs in flight to finish when it ends [default: 10s]",
    )
    add("--json", action="store_true", help="print where it listens as a JSON object")
    return parser


def settings_from_args(argv: Sequence[str], environ: Mapping[str, str]) -> ServerSettings:
    """The settings that the flags and GRPC_PORT make. Raises UsageError; argparse exits with 2 itself."""
    return settings_from(build_parser().parse_args(list(argv)), environ)


def settings_from(given: argparse.Namespace, environ: Mapping[str, str]) -> ServerSettings:
    """The settings of parsed flags. Raises UsageError."""
    settings = ServerSettings(
        host=given.host,
        port=_port(environ) if given.port is None else given.port,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        tls_client_ca=given.tls_client_ca,
        max_connection_age_s=parse_duration(given.max_connection_age, "--max-connection-age"),
        max_connection_age_grace_s=parse_duration(
            given.max_connection_age_grace, "--max-connection-age-grace"
        ),
        delay=parse_delay(given.delay),
        failure=Failure(given.fail_rate, given.fail_code.upper(), given.fail_how),
        seed=given.seed,
        max_message_bytes=given.max_message_size,
        max_concurrent_streams=given.max_concurrent_streams,
        workers=given.workers,
        grace_s=parse_duration(given.grace, "--grace"),
        engine=given.engine or _engine(environ),
        pods=given.pods,
        pods_on=given.pods_on,
        load_reports=parse_reports(given.load_reports),
        faults_file=environ.get("WHICHPOD_FAULTS", "") if given.faults is None else given.faults,
    )
    settings.check()
    return settings


def _port(environ: Mapping[str, str]) -> int:
    text = environ.get("GRPC_PORT", "50051")
    if not text.isdecimal() or int(text) > 65535:
        fix = "It takes 0 to 65535; --port goes before it."
        if "://" in text:
            fix = "A Service named grpc sets it in its pods: say enableServiceLinks: false, or give --port."
        raise UsageError(f"GRPC_PORT {text!r} is not a port.", fix=fix)
    return int(text)


def _engine(environ: Mapping[str, str]) -> str:
    name = environ.get("WHICHPOD_ENGINE") or ENGINES[0]
    if name not in ENGINES:
        raise UsageError(
            f"WHICHPOD_ENGINE {name!r} makes no sense.",
            fix=f"It takes {' or '.join(ENGINES)}; --engine goes before it.",
        )
    return name
