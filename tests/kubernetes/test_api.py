"""The client of the API, over real HTTP."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import authority, issued, needs_openssl
from tests.kubernetes.manifests import deployment
from tests.kubernetes.standin import ApiServer, Fault
from whichpod.cluster.kubernetes.api import ALL, Api
from whichpod.cluster.kubernetes.errors import ApiError, ForbiddenError, UnknownUserError, UnreachableError
from whichpod.cluster.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    GRPC_ROUTE,
    NAMESPACE,
    POD,
    SERVICE,
)
from whichpod.cluster.kubernetes.watch import Change, watch
from whichpod.model.errors import ClusterError, UsageError

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


@asynccontextmanager
async def opened(server: ApiServer, tmp_path: Path, **options: Any) -> AsyncIterator[Api]:
    said: dict[str, Any] = {"patience_s": 5.0} | options
    async with Api.open(str(server.kubeconfig(tmp_path)), **said) as api:
        yield api


def config(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_objects_are_applied_read_changed_and_deleted(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        assert await api.version() == (1, 32)
        assert api.where == f"stand-in ({server.url})"
        assert api.namespace == "default"
        made = await api.apply(deployment() | {"metadata": {"name": "echo", "namespace": "default"}})
        assert made["spec"]["replicas"] == 5
        assert made["metadata"]["managedFields"][0]["manager"] == "whichpod"
        changed = await api.patch(DEPLOYMENT, "echo", {"spec": {"replicas": 2}})
        assert changed["spec"]["replicas"] == 2
        found = await api.get(DEPLOYMENT, "echo")
        assert found is not None
        assert await api.get(DEPLOYMENT, "other") is None
        assert not await api.delete(DEPLOYMENT, "echo", uid="another")
        assert await api.delete(DEPLOYMENT, "echo", uid=found["metadata"]["uid"])
        assert not await api.delete(DEPLOYMENT, "echo")
    applied = next(r for r in server.requests if r.method == "PATCH")
    assert applied.query == {"fieldManager": "whichpod", "force": "true", "fieldValidation": "Strict"}
    assert applied.headers["content-type"] == "application/apply-patch+yaml"


async def test_lists_come_in_pages_and_begin_anew_when_the_server_forgets(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whichpod.cluster.kubernetes.api.PAGE", 2)
    for number in range(5):
        server.store.create(config(f"c{number}"))
    async with opened(server, tmp_path) as api:
        found = await api.objects(CONFIG_MAP, "default")
        assert [d["metadata"]["name"] for d in found] == [f"c{n}" for n in range(5)]
        assert found[0]["kind"] == "ConfigMap"
        assert sum(r.path.endswith("/configmaps") for r in server.requests) == 3
        server.faults.append(Fault(".*/configmaps", status=410, reason="Expired", times=1))
        assert len(await api.objects(CONFIG_MAP, ALL)) == 5
        assert [d["metadata"]["name"] for d in await api.objects(CONFIG_MAP, labels="app in (c1,c3)")] == [
            "c1",
            "c3",
        ]
        server.faults.append(Fault(".*/configmaps", status=410, reason="Expired", times=-1))
        with pytest.raises(ApiError, match="forgets faster"):
            await api.objects(CONFIG_MAP, "default")


async def test_what_is_served(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        assert await api.served(DEPLOYMENT)
        assert await api.served(DESTINATION_RULE)
        assert not await api.served(GRPC_ROUTE)
        asked = len(server.requests)
        assert not await api.served(GRPC_ROUTE)
        assert len(server.requests) == asked


async def test_fields_of_others_are_taken_over_only_by_force(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        mine = config("c", key="mine")
        await api.apply(mine)
        request = server.requests[-1]
        request.query["fieldManager"] = "kubectl"
        await api.patch(CONFIG_MAP, "c", {"data": {"key": "other"}})
        # A patch by the same manager moves nothing; somebody else's does.
        server.store.owners["ConfigMap", "default", "c"] = {"kubectl": {("data", "key")}}
        with pytest.raises(ApiError, match=r'conflict with "kubectl" using v1: \.data\.key') as caught:
            await api.apply(mine, force=False)
        assert caught.value.status == 409
        assert (await api.apply(mine))["data"] == {"key": "mine"}


async def test_invalid_objects_are_told_with_the_servers_words(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        wrong = deployment() | {"metadata": {"name": "echo", "namespace": "default"}}
        wrong["spec"] = {**wrong["spec"], "replica": 3}
        with pytest.raises(ApiError, match="replica") as caught:
            await api.apply(wrong)
        assert caught.value.status == 400
        with pytest.raises(ApiError, match='namespaces "nowhere" not found'):
            await api.apply(config("c", "nowhere"))
        with pytest.raises(UsageError, match="is not a kind"):
            await api.apply({"apiVersion": "v1", "kind": "Pods", "metadata": {"name": "x"}})


async def test_what_is_forbidden_names_its_rule(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path) as api:
        server.rules = [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespace": "default"}]
        with pytest.raises(ForbiddenError) as caught:
            await api.objects(POD, "default")
        assert 'rule {apiGroups: [""], resources: ["pods"], verbs: ["list"]}' in caught.value.fix
        assert "tester" in caught.value.message
        assert await api.get(POD, "x") is None
        assert await api.allowed("get", POD, "default")
        assert not await api.allowed("get", POD, "default", subresource="log")
        assert not await api.allowed("create", NAMESPACE)


async def test_logs_and_proxies(server: ApiServer, tmp_path: Path) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}}
    server.store.create(pod | {"spec": {"containers": [{"name": "main"}]}})
    server.log("default", "p", "one\ntwo\n")
    server.proxies("p", 8080, lambda path: (200, path.encode()))
    async with opened(server, tmp_path) as api:
        assert [line async for line in api.logs("p", "default")] == ["one", "two"]
        assert await api.proxy_get("p", "default", 8080, "/go/1.5?x=1") == b"/go/1.5?x=1"
        with pytest.raises(ApiError, match="connection refused"):
            await api.proxy_get("p", "default", 1, "/", patience_s=0)
        with pytest.raises(ApiError, match="not found"):
            _ = [line async for line in api.logs("q", "default")]
        lines = []
        async with aclosing(api.logs("p", "default", follow=True)) as follow:
            async for line in follow:
                lines.append(line)
                if line == "two":
                    server.log("default", "p", "three\n")
                    server.end_log("default", "p")
        assert lines == ["one", "two", "three"]


async def test_a_watch_goes_on_whatever_happens(server: ApiServer, tmp_path: Path) -> None:
    server.store.create(config("a"))
    server.store.create(config("b", "kube-system"))
    async with opened(server, tmp_path) as api, aclosing(watch(api, CONFIG_MAP, "default")) as changes:
        assert said(await anext(changes)) == ("ADDED", "a", None)
        server.store.create(config("c"))
        assert said(await anext(changes)) == ("ADDED", "c", None)
        server.drop_watches()
        server.store.update("ConfigMap", "default", "c", lambda d: d.update(data={"x": "1"}))
        assert said(await anext(changes)) == ("MODIFIED", "c", {"x": "1"})
        # The server forgets, with a watch open: what was missed comes from a list.
        server.drop_watches()
        server.store.delete("ConfigMap", "default", "a")
        server.store.create(config("d"))
        server.compact()
        assert {said(await anext(changes)), said(await anext(changes))} == {
            ("DELETED", "a", None),
            ("ADDED", "d", None),
        }
        server.stop()
        server.store.delete("ConfigMap", "default", "d")
        server.start()
        assert said(await anext(changes))[:2] == ("DELETED", "d")


def said(change: Change) -> tuple[str, str, Any]:
    data = change.document.get("data")
    return change.type, change.document["metadata"]["name"], data if data else None


async def test_a_watch_by_labels_sees_objects_leave(server: ApiServer, tmp_path: Path) -> None:
    server.store.create(config("a"))
    async with (
        opened(server, tmp_path) as api,
        aclosing(watch(api, CONFIG_MAP, "default", labels="app=a")) as changes,
    ):
        assert (await anext(changes)).type == "ADDED"
        server.store.update("ConfigMap", "default", "a", lambda d: d["metadata"].update(labels={}))
        assert (await anext(changes)).type == "DELETED"


async def test_a_watch_that_is_forbidden_or_stays_away_ends(server: ApiServer, tmp_path: Path) -> None:
    async with opened(server, tmp_path, patience_s=0.3) as api:
        server.rules = [{"verbs": ["list"], "apiGroups": [""], "resources": ["*"]}]
        with pytest.raises(ForbiddenError, match="watch configmaps"):
            await anext(watch(api, CONFIG_MAP, "default"))
        server.rules = None
        async with aclosing(watch(api, CONFIG_MAP, "default")) as changes:
            server.faults.append(Fault(".*", do="drop", times=-1))
            with pytest.raises(UnreachableError):
                await anext(changes)


async def test_no_way_into_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ApiServer
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(ClusterError, match="There is no kubeconfig"):
        await entered(Api.open())
    with pytest.raises(UsageError, match="not there"):
        await entered(Api.open(str(tmp_path / "none")))
    file = str(server.kubeconfig(tmp_path))
    with pytest.raises(UsageError, match="no context 'prod'"):
        await entered(Api.open(file, "prod"))
    with pytest.raises(UnknownUserError, match="does not accept the credentials"):
        await entered(Api.open(str(server.kubeconfig(tmp_path, token="old"))))
    (tmp_path / "bad").write_text("apiVersion: v1\nkind: Config\n")
    with pytest.raises(ClusterError, match=r"lacks what it needs|can't be got"):
        await entered(Api.open(str(tmp_path / "bad")))
    for text in ("", "a-host-name", "a: [", "apiVersion: v1\ncurrent-context: x\ncontexts: [x]\n"):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(ClusterError, match="bad is no kubeconfig"):
            await entered(Api.open(str(tmp_path / "bad")))
    with pytest.raises(UsageError, match="is no file"):
        await entered(Api.open(str(tmp_path)))
    server.stop()
    with pytest.raises(UnreachableError):
        await entered(Api.open(str(server.kubeconfig(tmp_path)), patience_s=0.2))


async def entered(context: Any) -> None:
    async with context:
        pass


async def test_keys_from_a_kubeconfig_leave_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ApiServer
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    file = server.kubeconfig(tmp_path)
    text = file.read_text().replace('server: "', 'certificate-authority-data: "bm8=", server: "')
    file.write_text(text)
    with pytest.raises(ClusterError):
        await entered(Api.open(str(file)))
    assert list(folder.iterdir()) == []


@needs_openssl
async def test_in_a_pod_its_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = tmp_path / "serviceaccount"
    account.mkdir()
    with ApiServer(certificates=tmp_path) as server:
        assert server.ca is not None
        (account / "token").write_text(server.token)
        (account / "namespace").write_text("trial")
        (account / "ca.crt").write_bytes(Path(server.ca.cert).read_bytes())
        monkeypatch.setattr("whichpod.cluster.kubernetes.connection.SERVICE_ACCOUNT", account)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("KUBECONFIG", raising=False)
        host, port = server.url.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        async with Api.open() as api:
            assert api.namespace == "trial"
            assert api.where == f"in-cluster ({server.url})"
            assert await api.get(SERVICE, "x") is None
            # Tokens of pods are renewed in their file.
            server.token = "renewed"
            (account / "token").write_text("renewed")
            assert await api.get(SERVICE, "x") is None


@needs_openssl
async def test_a_certificate_of_ones_own_in_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with ApiServer(certificates=tmp_path) as server:
        assert server.ca is not None
        pair = issued(tmp_path, server.ca, "ann")
        file = server.kubeconfig(tmp_path)
        data = {
            name: base64.b64encode(Path(path).read_bytes()).decode()
            for name, path in (("client-certificate-data", pair.cert), ("client-key-data", pair.key))
        }
        file.write_text(file.read_text().replace("token: secret-token", json.dumps(data)[1:-1]))
        async with Api.open(str(file)) as api:
            assert await api.get(SERVICE, "x") is None
            # The key is nobody's business once it is read.
            assert list(folder.iterdir()) == []
        # Somebody else's authority: the server isn't the one that is meant.
        other = authority(tmp_path, "other")
        text = file.read_text().replace(
            base64.b64encode(Path(server.ca.cert).read_bytes()).decode(),
            base64.b64encode(Path(other.cert).read_bytes()).decode(),
        )
        file.write_text(text)
        with pytest.raises(UnreachableError, match=r"(?i)certificate.verify.failed"):
            await entered(Api.open(str(file)))
        assert list(folder.iterdir()) == []


async def test_a_program_that_logs_in(server: ApiServer, tmp_path: Path) -> None:
    program = tmp_path / "login"
    said = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(said | {'status': {'token': server.token}})}'\n")
    program.chmod(0o755)
    file = server.kubeconfig(tmp_path)
    entry = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}}
    file.write_text(file.read_text().replace("token: secret-token", json.dumps(entry)[1:-1]))
    async with Api.open(str(file)) as api:
        assert await api.get(SERVICE, "x") is None
    program.unlink()
    with pytest.raises(ClusterError, match="logs in with a program that isn't there"):
        await entered(Api.open(str(file)))
