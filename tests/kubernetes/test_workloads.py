"""Rows of one's own, whose servers are no Deployments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kubernetes.standin import ApiServer
from tests.kubernetes.standin.fixture import cluster
from tests.kubernetes.test_lab import opened
from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.names import run_labels
from whichpod.cluster.kubernetes.sweep import objects_of
from whichpod.cluster.protocol import Client
from whichpod.manifest.load import load_text
from whichpod.model.plan import Plan

WORKLOAD = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: echo}}
spec:
  {spec}
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      containers:
        - name: echo
          image: whichpod
          args: [serve, --engine, fast]
          env:
            - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
          ports: [{{name: grpc, containerPort: 50051}}]
          readinessProbe: {{grpc: {{port: 50051}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  clusterIP: None
  selector: {{app: echo}}
  ports: [{{name: grpc, port: 50051, targetPort: grpc}}]
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "spec", "pods"),
    [
        ("StatefulSet", "serviceName: echo\n  replicas: 3", {"echo-0", "echo-1", "echo-2"}),
        ("DaemonSet", "", {"echo-node-1", "echo-node-2"}),
    ],
)
async def test_they_are_waited_for_probed_and_removed(
    tmp_path: Path, kind: str, spec: str, pods: set[str]
) -> None:
    bundle = load_text(WORKLOAD.format(kind=kind, spec=spec))
    client = Client(service="echo")
    with cluster(tmp_path) as here:
        async with opened(here) as found, found.lab(bundle, client=client) as lab:
            assert {pod.name for pod in lab.pods} == pods
            report = await lab.probe(client, Plan(requests=30, policy="round_robin", warmup=1))
        assert {b.backend.pod for b in report.tally.backends.values() if b.done} == pods
        assert here.server.store.objects(kind, "whichpod-r1-1") == []


@pytest.mark.anyio
async def test_what_has_an_owner_goes_with_it(tmp_path: Path) -> None:
    with ApiServer() as server:
        for name, owners in (("bare", []), ("owned", [{"kind": "ReplicaSet", "name": "echo", "uid": "1"}])):
            metadata = {"name": name, "namespace": "default", "labels": run_labels("r1")}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"ownerReferences": owners}}
            server.store.create(pod | {"spec": {"containers": [{"name": "echo"}]}})
        async with Api.open(str(server.kubeconfig(tmp_path)), patience_s=1.0) as api:
            assert [left.name for left in await objects_of(api, "default")] == ["bare"]
