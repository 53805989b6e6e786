from __future__ import annotations

import pytest

from whichpod.manifest.kinds import (
    ContainerPort,
    Deployment,
    EnvVar,
    ExecCheck,
    GrpcCheck,
    HttpCheck,
    Probe,
    TcpCheck,
    Volume,
    VolumeMount,
    VolumeSource,
)
from whichpod.manifest.load import load_text
from whichpod.model.errors import ManifestError

FULL = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge, namespace: shop, annotations: {note: x}}
spec:
  replicas: 2
  selector: {matchLabels: {app: edge}}
  template:
    metadata:
      labels: {app: edge}
      annotations: {sidecar.istio.io/inject: "true"}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: envoy
        image: envoyproxy/envoy:v1.36
        command: [envoy]
        args: ["-c", "/etc/envoy/envoy.yaml", "$(POD_IP)"]
        workingDir: /tmp
        env:
        - {name: PLAIN, value: a b}
        - {name: EMPTY}
        - name: POD_IP
          valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}
        - name: APP
          valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}
        ports:
        - {name: grpc, containerPort: 8080}
        - {containerPort: 9901, protocol: TCP}
        readinessProbe: {tcpSocket: {port: grpc}, periodSeconds: 1, failureThreshold: 5}
        volumeMounts:
        - {name: config, mountPath: /etc/envoy, readOnly: true}
        - {name: scratch, mountPath: /scratch, subPath: a}
      volumes:
      - name: config
        configMap: {name: edge-config, items: [{key: e, path: envoy.yaml}]}
      - {name: scratch, emptyDir: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: edge-config, namespace: shop}
data:
  e: |
    admin: {}
"""


def edge(text: str = FULL) -> Deployment:
    return load_text(text, "f").deployments[0]


def test_a_whole_deployment() -> None:
    d = edge()
    assert (d.meta.name, d.meta.namespace, d.replicas, d.termination_grace_s) == ("edge", "shop", 2, 5)
    assert d.pod_labels == {"app": "edge"}
    assert d.pod_annotations == {"sidecar.istio.io/inject": "true"}
    (c,) = d.containers
    assert c.where.line == 14
    assert (c.image, c.command, c.working_dir) == ("envoyproxy/envoy:v1.36", ("envoy",), "/tmp")
    assert c.args == ("-c", "/etc/envoy/envoy.yaml", "$(POD_IP)")
    assert c.env == (
        EnvVar("PLAIN", "a b"),
        EnvVar("EMPTY", ""),
        EnvVar("POD_IP", field_path="status.podIP"),
        EnvVar("APP", field_path="metadata.labels['app']"),
    )
    assert c.ports == (ContainerPort(8080, "grpc"), ContainerPort(9901))
    assert d.ports() == {"grpc": 8080}
    assert c.readiness == Probe(TcpCheck("grpc"), period_s=1, failure_threshold=5)
    assert c.mounts == (
        VolumeMount("config", "/etc/envoy", read_only=True),
        VolumeMount("scratch", "/scratch", "a"),
    )
    assert d.volumes == (
        Volume("config", (VolumeSource("ConfigMap", "edge-config", (("e", "envoy.yaml"),)),)),
        Volume("scratch"),
    )
    found = load_text(FULL).config_map("edge-config", "shop")
    assert found is not None
    assert found.data == {"e": "admin: {}\n"}


@pytest.mark.parametrize(
    ("probe", "check"),
    [
        ("grpc: {port: 50051}", GrpcCheck(50051)),
        ("grpc: {port: 50051, service: a.B}", GrpcCheck(50051, "a.B")),
        ("httpGet: {port: 9901, path: /ready}", HttpCheck(9901, "/ready")),
        ("httpGet: {port: grpc, scheme: HTTPS}", HttpCheck("grpc", "/", "HTTPS")),
        ("exec: {command: [cat, /x]}", ExecCheck(("cat", "/x"))),
    ],
)
def test_readiness(probe: str, check: object) -> None:
    found = edge(FULL.replace("tcpSocket: {port: grpc}", probe)).containers[0].readiness
    assert found is not None
    assert found.check == check


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tcpSocket: {port: grpc}, ", "", "must have one of grpc, tcpSocket, httpGet and exec"),
        ("tcpSocket: {port: grpc}", "tcpSocket: {port: web}", "is probed on a port 'web'"),
        ("tcpSocket: {port: grpc}", "exec: {}", "exec.command is missing"),
        ("status.podIP", "status.phase", "fieldPath 'status.phase' is not understood"),
        ("{fieldRef: {apiVersion: v1, fieldPath: status.podIP}}", "{secretKeyRef: {}}", "name is missing"),
        ("{fieldRef: {apiVersion: v1, fieldPath: status.podIP}}", "{}", "must have one of fieldRef"),
        ("{name: EMPTY}", "{name: 1X}", "'1X' is no valid name"),
        ("- {containerPort: 9901, protocol: TCP}", "- {containerPort: 1, name: grpc}", "'grpc' twice"),
        ("{name: config, mountPath", "{name: nothing, mountPath", "mounts the volume 'nothing'"),
        ("{name: scratch, emptyDir: {}}", "{name: scratch, hostPath: {}}", "hostPath is not supported"),
        ("volumes:\n", "volumes:\n      - {name: config, emptyDir: {}}\n", "twice"),
        ("configMap: {name: edge-config", "configMap: {name: other", "there is no ConfigMap 'other'"),
        ("path: envoy.yaml", "path: ../x", "relative and without '..'"),
        ("terminationGracePeriodSeconds: 5", "restartPolicy: Never", "must be Always"),
        ("terminationGracePeriodSeconds: 5", "hostNetwork: true", "hostNetwork is not supported"),
        ("terminationGracePeriodSeconds: 5", "initContainers: {}", "initContainers must be a list"),
        ("selector: {matchLabels: {app: edge}}", "selector: {}", "spec.selector selects nothing"),
        ("args: [\"-c\",", "args: [1,", "args[0] must be text"),
        ("name: edge, namespace: shop", "name: edge, namespace: a.b", "'a.b' is no valid name"),
    ],
)  # fmt: skip
def test_what_is_refused(old: str, new: str, says: str) -> None:
    assert old in FULL
    with pytest.raises(ManifestError) as caught:
        edge(FULL.replace(old, new, 1))
    assert says in f"{caught.value}"


def test_a_volume_may_be_optional() -> None:
    assert (
        edge(FULL.replace("{name: edge-config, items", "{name: x, optional: true, items", 1))
        .volumes[0]
        .sources[0]
        .optional
    )


def test_two_of_a_name() -> None:
    config_map = FULL[FULL.index("---") :]
    with pytest.raises(ManifestError, match=r"f:45: ConfigMap edge-config: stands twice .*\(first at f:38\)"):
        edge(FULL + config_map)
