"""TLS and mutual TLS, with certificates made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import grpc
import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.echo.client import unary
from tests.echo.engines import Serve
from whichpod.echo.v1 import echo_pb2
from whichpod.model.errors import UsageError

pytestmark = needs_openssl


def dial(port: int, roots: str, cert: str = "", key: str = "") -> echo_pb2.EchoReply:
    credentials = grpc.ssl_channel_credentials(
        Path(roots).read_bytes(), *((Path(key).read_bytes(), Path(cert).read_bytes()) if cert else ())
    )
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        return unary(channel)


def test_tls(tmp_path: Path, echo: Serve) -> None:
    ca = authority(tmp_path)
    own = issued(tmp_path, ca, "server")
    with echo(host="localhost", tls_cert=own.cert, tls_key=own.key) as server:
        assert dial(server.port, ca.cert).server.pod == "echo-0"


def test_mutual_tls_refuses_who_has_no_certificate_of_its_roots(tmp_path: Path, echo: Serve) -> None:
    ca, stranger = authority(tmp_path), authority(tmp_path, "stranger")
    own, client = issued(tmp_path, ca, "server"), issued(tmp_path, ca, "client")
    with echo(host="localhost", tls_cert=own.cert, tls_key=own.key, tls_client_ca=ca.cert) as server:
        assert dial(server.port, ca.cert, client.cert, client.key).server.pod == "echo-0"
        for pair in ((), (stranger.cert, stranger.key)):
            with pytest.raises(grpc.RpcError) as refused:
                dial(server.port, ca.cert, *pair)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_files_that_can_not_serve_are_named_before_it_starts(tmp_path: Path, echo: Serve) -> None:
    ca = authority(tmp_path)
    own, other = issued(tmp_path, ca, "server"), issued(tmp_path, ca, "other")
    broken, locked = tmp_path / "broken.pem", tmp_path / "locked.key"
    broken.write_text("nonsense")
    subprocess.run(
        ["openssl", "pkey", "-in", own.key, "-aes128", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    for cert, key, roots, said in (
        (own.cert, other.key, "", "don't go together"),
        (own.cert, str(locked), "", "locked.key don't go together"),
        (str(broken), own.key, "", "broken.pem and"),
        (own.cert, str(tmp_path), "", f"--tls-key {tmp_path} can't be read"),
        (own.cert, own.key, str(broken), f"--tls-client-ca {broken} has no certificate"),
        (own.cert, own.key, str(tmp_path / "none"), "none can't be read: No such file"),
    ):
        with (
            pytest.raises(UsageError, match=said),
            echo(tls_cert=cert, tls_key=key, tls_client_ca=roots),
        ):
            pass
