"""TLS and ALPN of peers that bring their own: nginx and nghttpd, on OpenSSL."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.echo.engines import fast
from tests.load.peers.nghttpd import OK, calling, needs_nghttpd, nghttpd
from tests.load.peers.proxies import pods, proxy
from tests.load.runs import by_pod, run
from whichpod.model.errors import TargetError
from whichpod.model.target import Tls

pytestmark = needs_openssl


def test_nginx(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    pair = issued(tmp_path, ca, "server")
    tls = Tls(ca.cert, server_name="localhost")
    lines = f"ssl_certificate {pair.cert}; ssl_certificate_key {pair.key};"
    with fast(pod="echo", pods=2) as servers, proxy("nginx", pods(servers), lines) as peer:
        small = run(addresses=[peer.address], tls=tls, requests=600, connections=2, concurrency=10)
        large = run(addresses=[peer.address], tls=tls, requests=40, concurrency=5, payload_size=100_000)
        with pytest.raises(TargetError, match="does not verify"):
            run(addresses=[peer.address], tls=Tls(ca.cert, server_name="else.example"), requests=1)
        with pytest.raises(TargetError, match="does not speak gRPC"):
            run(addresses=[peer.address], requests=1)
    assert by_pod(small) == {"echo-0": 300, "echo-1": 300}
    assert by_pod(large) == {"echo-0": 20, "echo-1": 20}


@needs_nghttpd
def test_nghttpd(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    pair = issued(tmp_path, ca, "server")
    tls = Tls(ca.cert, server_name="localhost")
    with nghttpd(*OK, tls=pair) as peer:
        small = run(
            addresses=[peer.address], tls=tls, call=calling("answer.grpc"), requests=2_000, concurrency=20
        )
        call = calling("large.grpc", bytes(100_000))
        large = run(addresses=[peer.address], tls=tls, call=call, requests=40, concurrency=5)
    assert small.tally.statuses == {"OK": 2_000}
    assert large.tally.statuses == {"OK": 40}


def test_a_run_that_ends_during_a_handshake(tmp_path: Path) -> None:
    """As with a server that takes so many requests on a connection, and the last one was the run's last."""
    ca = authority(tmp_path)
    pair = issued(tmp_path, ca, "server")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        fast(tls_cert=pair.cert, tls_key=pair.key) as server,
    ):
        # The first handshake fails, so that the run begins; all others get no answer.
        thread = threading.Thread(target=lambda: silent.accept()[0].close())
        thread.start()
        ports = (server.port, silent.getsockname()[1])
        report = run(*ports, tls=Tls(ca.cert), requests=300)
        thread.join()
    assert report.tally.statuses == {"OK": 300}
