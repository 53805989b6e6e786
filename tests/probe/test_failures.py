"""Targets that can't be used, each told apart in words."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.servers import echo, tcp
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target, Tls
from whichpod.probe.run import probe

SOON = Plan(requests=50, deadline_s=0.3)


def error_of(target: Target | str, plan: Plan = SOON) -> str:
    with pytest.raises(TargetError) as failed:
        probe(Target(target) if isinstance(target, str) else target, plan)
    assert failed.value.fix
    assert len(str(failed.value).splitlines()) <= 2
    return failed.value.message


def test_a_name_that_does_not_resolve() -> None:
    assert "does not resolve" in error_of("dns:///no.such.name.invalid:50051", Plan(requests=50))


def test_nothing_listening() -> None:
    with tcp(b"") as port:
        pass
    assert "Nothing listens" in error_of(f"127.0.0.1:{port}")


@contextmanager
def http1() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(5)


def test_servers_that_are_not_grpc() -> None:
    with http1() as port:
        assert "does not speak gRPC" in error_of(f"127.0.0.1:{port}")
    with tcp(b"SSH-2.0-OpenSSH_9.9\r\n") as port:
        assert "does not speak gRPC" in error_of(f"127.0.0.1:{port}")
    with tcp(b"") as port:
        assert "closes the connection" in error_of(f"127.0.0.1:{port}")
    with tcp(None) as port:
        assert "did not answer" in error_of(f"127.0.0.1:{port}")


def test_grpc_without_the_echo_service() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert "no echo service" in error_of(f"127.0.0.1:{port}")
    server.stop(0).wait()


@needs_openssl
def test_tls(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    other = authority(tmp_path, "other")
    own, client = issued(tmp_path, ca, "server"), issued(tmp_path, ca, "client")
    with echo(tls_cert=own.cert, tls_key=own.key) as server:
        at = f"127.0.0.1:{server.port}"
        assert probe(Target(at, Tls(ca.cert)), Plan(requests=3)).tally.done == 3
        assert probe(Target(at, Tls(ca.cert, server_name="localhost")), Plan(requests=3)).tally.done == 3
        assert "closes the connection" in error_of(at)
        assert "not trusted" in error_of(Target(at, Tls(other.cert)))
        assert "another name" in error_of(Target(at, Tls(ca.cert, server_name="else.test")))
    with echo(tls_cert=own.cert, tls_key=own.key, tls_client_ca=ca.cert) as server:
        at = f"127.0.0.1:{server.port}"
        assert probe(Target(at, Tls(ca.cert, client.cert, client.key)), Plan(requests=3)).tally.done == 3
        assert "closes the connection" in error_of(Target(at, Tls(ca.cert)))
    with echo() as server:
        assert "does not speak TLS" in error_of(Target(f"127.0.0.1:{server.port}", Tls(ca.cert)))


@needs_openssl
def test_tls_files_are_refused_by_name(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    pair = issued(tmp_path, ca, "client")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for tls, said in (
        (Tls("/nowhere.pem"), "/nowhere.pem can't be read"),
        (Tls(str(nonsense)), "nonsense.pem has no certificate"),
        (Tls(ca.cert, pair.cert), "both a certificate and its key"),
        (Tls(ca.cert, pair.cert, ca.key), "don't go together"),
    ):
        with pytest.raises(UsageError, match=said):
            probe(Target("127.0.0.1:1", tls), Plan())
