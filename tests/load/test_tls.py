"""TLS of the load engine, against real servers."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.load.runs import by_pod, run
from tests.servers import echo
from whichpod.model.errors import TargetError, UsageError
from whichpod.model.target import Tls

pytestmark = needs_openssl


def test_tls_and_mutual_tls(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    server, client = issued(tmp_path, ca, "server"), issued(tmp_path, ca, "client")
    with echo(tls_cert=server.cert, tls_key=server.key) as plain:
        report = run(plain.port, tls=Tls(ca.cert), requests=100, connections=2, concurrency=5)
        assert by_pod(report) == {"echo-0": 100}
        big = run(plain.port, tls=Tls(ca.cert), requests=5, payload_size=300_000)
        assert big.tally.statuses == {"OK": 5}
    with echo(tls_cert=server.cert, tls_key=server.key, tls_client_ca=ca.cert) as mutual:
        tls = Tls(ca.cert, client.cert, client.key)
        assert run(mutual.port, tls=tls, requests=20).tally.statuses == {"OK": 20}
        # TLS 1.3's client learns of the refusal after its handshake.
        with pytest.raises(TargetError):
            run(mutual.port, tls=Tls(ca.cert), requests=20)


def test_a_certificate_that_does_not_verify(tmp_path: Path) -> None:
    ca, other = authority(tmp_path), authority(tmp_path, "other")
    pair = issued(tmp_path, ca, "server")
    with echo(tls_cert=pair.cert, tls_key=pair.key) as server:
        with pytest.raises(TargetError, match="does not verify"):
            run(server.port, tls=Tls(other.cert), requests=1)
        with pytest.raises(TargetError, match="does not verify"):
            run(server.port, tls=Tls(ca.cert, server_name="else.example"), requests=1)
        assert run(server.port, tls=Tls(ca.cert, server_name="localhost"), requests=1).tally.done == 1


def test_tls_to_a_server_without_it(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with echo() as server, pytest.raises(TargetError):
        run(server.port, tls=Tls(ca.cert), requests=1)


def test_a_server_without_http2(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    pair = issued(tmp_path, ca, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = listening.accept()
        with sock, context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(100)

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(TargetError, match="ALPN"):
        run(listening.getsockname()[1], tls=Tls(ca.cert), requests=1)
    thread.join()
    listening.close()


def test_a_server_in_plain_text() -> None:
    with echo() as server, pytest.raises(TargetError, match="does not speak TLS") as caught:
        run(server.port, tls=Tls(""), requests=1)
    assert "--tls" in caught.value.fix


def test_files_that_are_no_pem(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("none")
    for tls in (Tls(str(bad)), Tls(str(tmp_path / "none.pem")), Tls("", str(bad))):
        with pytest.raises(UsageError):
            run(1, tls=tls, requests=1)
