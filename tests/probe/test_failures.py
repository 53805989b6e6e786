"""Targets that can't be used, each told apart in words."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.servers import echo, tcp
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.plan import Plan
from whichpod.model.target import Target, Tls
from whichpod.probe.failures import described
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


@contextmanager
def http2(status: int) -> Iterator[int]:
    """Speaks HTTP/2 and answers every request with a page."""

    class Pages(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
            connection.initiate_connection()
            self.request.sendall(connection.data_to_send())
            while data := self.request.recv(65535):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        assert event.stream_id
                        head = [(":status", str(status)), ("content-type", "text/html")]
                        connection.send_headers(event.stream_id, head, end_stream=True)
                self.request.sendall(connection.data_to_send())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize("status", [301, 404, 405])
def test_http2_without_grpc(status: int) -> None:
    with http2(status) as port:
        assert f"not gRPC (it answers with HTTP status {status})" in error_of(f"127.0.0.1:{port}")


def test_what_a_proxy_may_say_for_a_moment_is_a_result() -> None:
    with http2(503) as port:
        report = probe(Target(f"127.0.0.1:{port}"), Plan(requests=10))
    assert report.tally.statuses == {"UNAVAILABLE": 10}


def test_no_such_socket(tmp_path: Path) -> None:
    assert "no such socket" in error_of(f"unix:{tmp_path}/none")


def test_control_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    def bootstrap(port: int) -> None:
        server = {"server_uri": f"127.0.0.1:{port}", "channel_creds": [{"type": "insecure"}]}
        monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", json.dumps({"node": {}, "xds_servers": [server]}))

    with tcp(b"") as port:
        bootstrap(port)
    assert f"control plane at 127.0.0.1:{port} tells nothing" in error_of("xds:///echo:1")
    with echo() as server:
        bootstrap(server.port)
        said = error_of("xds:///echo:1")
    assert f"127.0.0.1:{server.port} tells nothing of xds:///echo:1" in said


class Said(grpc.RpcError):
    def __init__(self, details: str) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return self._details


@pytest.mark.parametrize(
    ("details", "shown"),
    [
        ("", "UNAVAILABLE"),
        ("busy", "UNAVAILABLE: busy"),
        ("two\n lines\x1b[31m\x00", "UNAVAILABLE: two lines [31m"),
        ("failed to connect to all addresses; last error: INTERNAL: ipv4:10.0.0.1:1: Too many open files",
         "UNAVAILABLE: ipv4:10.0.0.1:1: Too many open files"),
        ("connections to all backends failing; last error: UNKNOWN: x", "UNAVAILABLE: x"),
        ("x" * 1000, "UNAVAILABLE: " + "x" * 300),
    ],
)  # fmt: skip
def test_details_are_shown_without_wrapping_and_for_a_terminal(details: str, shown: str) -> None:
    assert described(Said(details)) == shown


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
