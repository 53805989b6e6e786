"""The client of the API, with a server that limits, fails, forgets answers or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.manifests import service
from tests.kubernetes.standin import ApiServer, Fault
from tests.kubernetes.test_api import config, opened
from whichpod.cluster.kubernetes.errors import ApiError, UnknownUserError, UnreachableError
from whichpod.cluster.kubernetes.kinds import CONFIG_MAP, SERVICE
from whichpod.cluster.kubernetes.names import run_labels

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


@pytest.mark.parametrize(
    "fault",
    [
        Fault(".*", status=429, reason="TooManyRequests", retry_after=0, times=2),
        Fault(".*", status=503, reason="ServiceUnavailable", times=2),
        Fault(".*", do="drop", times=2),
        Fault(".*", do="drop-mid", times=2),
        Fault(".*", do="slow", seconds=0.05, times=2),
    ],
    ids=["429", "503", "drop", "drop-mid", "slow"],
)
async def test_what_may_get_better_is_tried_again(server: ApiServer, tmp_path: Path, fault: Fault) -> None:
    async with opened(server, tmp_path) as api:
        server.faults.append(fault)
        await api.apply(config("c"))
        assert await api.get(CONFIG_MAP, "c") is not None
        assert fault.times == 0


async def test_retry_after_is_obeyed_within_patience(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path, patience_s=0.5) as api:
        server.faults.append(Fault(".*", status=429, reason="TooManyRequests", retry_after=600))
        with pytest.raises(ApiError, match="429") as caught:
            await api.get(CONFIG_MAP, "c")
        assert "limits requests" in caught.value.fix


async def test_a_create_whose_answer_is_lost_is_not_sent_again(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        server.faults.append(Fault(".*/services", do="drop", method="POST"))
        with pytest.raises(UnreachableError):
            await api.create(service(namespace="default"))
        assert sum(r.method == "POST" for r in server.requests) == 1
        server.faults.append(Fault(".*/services", method="POST", status=429, retry_after=0))
        ported = service(namespace="default") | {"spec": {"selector": {"a": "b"}, "ports": [{"port": 1}]}}
        made = await api.create(ported)
        assert made["spec"]["clusterIP"].startswith("10.96.")
        with pytest.raises(ApiError) as caught:
            await api.create(ported)
        assert caught.value.reason == "AlreadyExists"


@pytest.mark.parametrize("do", ["drop", "drop-after"])
async def test_a_runs_own_object_is_made_once_whatever_becomes_of_the_answer(
    server: ApiServer, tmp_path: Path, do: Any
) -> None:
    async with opened(server, tmp_path) as api:
        server.faults.append(Fault(".*/services", do=do, method="POST"))
        mine = service(namespace="default", labels=run_labels("r1"))
        mine["spec"] = {"selector": {"a": "b"}, "ports": [{"port": 1}]}
        made = await api.create(mine)
        assert sum(r.method == "POST" for r in server.requests) == 2
        assert [d["metadata"]["uid"] for d in server.store.objects("Service")] == [made["metadata"]["uid"]]
        # Of another run it is somebody else's.
        mine["metadata"]["labels"] = run_labels("r2")
        with pytest.raises(ApiError) as caught:
            await api.create(mine)
        assert caught.value.reason == "AlreadyExists"


async def test_who_is_kept_waiting_is_told(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit is obeyed for as long as patience lasts, from the first request on."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("whichpod.cluster.kubernetes.connection.asyncio.sleep", sleep)
    server.faults.append(Fault("/version/?", status=429, reason="TooManyRequests", retry_after=4))
    told: list[str] = []
    async with opened(server, tmp_path, patience_s=30.0, says=told.append) as api:
        assert (told, slept) == (["the API server is asked again in 4 s"], [4.0])
        server.faults.append(Fault(".*", do="drop", times=5))
        assert await api.get(SERVICE, "x") is None
        assert told[1:] == ["the API server can't be reached; trying again"] * 2


async def test_a_server_that_goes_away_is_told_after_patience(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path, patience_s=0.3) as api:
        server.stop()
        with pytest.raises(UnreachableError, match="can't be reached") as caught:
            await api.get(SERVICE, "x")
        assert "right context" in caught.value.fix
        server.start()
        assert await api.get(SERVICE, "x") is None


async def test_credentials_that_expire_are_got_anew_once(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        server.token = "new"
        server.kubeconfig(tmp_path, token="new")
        found = await asyncio.gather(*(api.get(SERVICE, f"s{n}") for n in range(5)))
        assert found == [None] * 5
        server.token = "newer"
        with pytest.raises(UnknownUserError, match="credentials"):
            await api.get(SERVICE, "x")
