"""The server as a process."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.echo.client import REPLY, SEND, dial, unary
from tests.servers import served
from whichpod.echo import names
from whichpod.echo.v1 import echo_pb2

FORKING = """
import os, sys
import whichpod.echo.run, whichpod.echo.args
children = []
for name in ("two", "one"):
    pid = os.fork()
    if pid == 0:
        os.dup2(int(sys.argv.pop()), 1)
        settings = whichpod.echo.args.settings_from_args(["--host", "127.0.0.1", "--port", "0"], {})
        os._exit(whichpod.echo.run.serve(settings, {"POD_NAME": name}, as_json=True))
    children.append(pid)
    sys.argv.pop()
sys.stdin.read()
for pid in children:
    os.kill(pid, 15)
sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in children))
"""


def test_it_listens_on_grpc_port_and_drains_on_sigterm(engine: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = os.environ | {"GRPC_PORT": str(port), "WHICHPOD_ENGINE": engine}
    command = [sys.executable, "-m", "whichpod", "serve", "--host", "127.0.0.1", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["listening"] == f"127.0.0.1:{port}"
        with dial(port) as channel:
            assert unary(channel).server.id == said["server_id"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout.read() == ""


def test_rpcs_in_flight_finish_on_sigint(engine: str) -> None:
    requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
    with served("--engine", engine, "--grace", "60s") as (process, port), dial(port) as channel:
        requests.put(echo_pb2.EchoRequest())
        stream: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(requests.get, None), 20)
        assert next(stream).sequence == 1
        process.send_signal(signal.SIGINT)
        requests.put(echo_pb2.EchoRequest())
        assert next(stream).sequence == 2
        requests.put(None)
        assert list(stream) == []
        assert process.wait(20) == 0


def test_a_second_signal_ends_it_at_once(engine: str) -> None:
    requests: queue.SimpleQueue[echo_pb2.EchoRequest | None] = queue.SimpleQueue()
    with served("--engine", engine, "--grace", "60s") as (process, port), dial(port) as channel:
        requests.put(echo_pb2.EchoRequest())
        stream: Any = channel.stream_stream(names.BIDI_STREAM, SEND, REPLY)(iter(requests.get, None), 20)
        assert next(stream).sequence == 1
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
        requests.put(None)


def test_a_port_in_use_is_refused_in_words(engine: str) -> None:
    with served() as (_, port):
        where = ["--engine", engine, "--host", "127.0.0.1", "--port", str(port)]
        command = [sys.executable, "-m", "whichpod", "serve", *where]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "the port is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_works_in_processes_forked_after_grpc_was_imported() -> None:
    (one_out, one_in), (two_out, two_in) = os.pipe(), os.pipe()
    command = [sys.executable, "-c", FORKING, str(one_in), str(two_in)]
    with (
        os.fdopen(one_out) as one,
        os.fdopen(two_out) as two,
        subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(one_in, two_in)) as parent,
    ):
        os.close(one_in)
        os.close(two_in)
        for pod, said in (("one", json.loads(one.readline())), ("two", json.loads(two.readline()))):
            with dial(int(said["listening"].rpartition(":")[2])) as channel:
                reply = unary(channel)
            assert reply.server.id == said["server_id"]
            assert reply.server.pod == pod
        parent.communicate(timeout=20)
        assert parent.returncode == 0


def test_faults_are_read_at_the_start_and_again_on_sighup(engine: str, tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('{"pods": {"echo-7": {"fail_rate": 1, "fail_code": "ABORTED"}}}')
    env = {"POD_NAME": "echo-7", "WHICHPOD_FAULTS": str(file)}
    with served("--engine", engine, env=env) as (process, port), dial(port) as channel:
        assert process.stderr is not None

        def reread() -> str:
            process.send_signal(signal.SIGHUP)
            assert process.stderr is not None
            return process.stderr.readline()

        def code() -> grpc.StatusCode:
            try:
                unary(channel)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        assert code() is grpc.StatusCode.ABORTED
        file.write_text('{"fail_rate": "all"}')
        said = reread()
        assert said.startswith(f'{file}: fail_rate "all" makes no sense. The faults stay as they are.')
        assert code() is grpc.StatusCode.ABORTED
        file.unlink()
        assert reread() == f"{file}: faults of 1 of 1 pods changed\n"
        assert code() is grpc.StatusCode.OK
        file.write_text("")
        assert reread() == f"{file}: faults of 0 of 1 pods changed\n"
        file.write_text('{"fail_rate": 1}')
        assert reread().endswith("faults of 1 of 1 pods changed\n")
        assert code() is grpc.StatusCode.UNAVAILABLE
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_faults_that_make_no_sense_are_refused_at_the_start(engine: str, tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('{"delay": "soon"}')
    command = [sys.executable, "-m", "whichpod", "serve", "--engine", engine, "--faults", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "faults.json: --delay 'soon' is not a duration." in done.stderr


def test_a_server_that_hangs_goes_on_where_it_was(engine: str) -> None:
    """SIGSTOP: connections are still accepted, by the kernel, and nothing is answered."""
    with served("--engine", engine, "--grace", "60s") as (process, port), dial(port) as channel:
        server = unary(channel).server.id
        health = health_pb2_grpc.HealthStub(channel)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # all of its threads stand still
        hanging: Any = channel.unary_unary(names.ECHO, SEND, REPLY).future(echo_pb2.EchoRequest(), 60)
        with pytest.raises(grpc.RpcError) as failed:
            health.Check(health_pb2.HealthCheckRequest(), timeout=0.2)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            process.send_signal(signal.SIGCONT)
            assert hanging.result(20).server.id == server
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=20).status == 1
        assert unary(channel).server.id == server
        # A rolling update's SIGTERM may meet it while it hangs.
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert process.wait(20) == 0
