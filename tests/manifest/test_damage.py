"""Whatever is written, what comes of it is a bundle that can be translated, or an error with its place."""

from __future__ import annotations

import contextlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from whichpod.manifest.load import load_text
from whichpod.mesh.caller import Caller
from whichpod.mesh.outbound import outbound
from whichpod.mesh.proxyless import proxyless
from whichpod.mesh.registry import Endpoint, Registry
from whichpod.model.errors import ManifestError

TEXT = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: echo
spec:
  serviceName: echo
  replicas: 2
  updateStrategy:
    rollingUpdate:
      maxUnavailable: 50%
  selector:
    matchLabels: {app: echo}
  template:
    metadata:
      labels: {app: echo}
    spec:
      nodeSelector: {zone: a}
      initContainers:
      - {name: first, image: i}
      containers:
      - name: echo
        image: i
        envFrom:
        - secretRef: {name: keys}
        env:
        - name: A
          valueFrom:
            secretKeyRef: {name: keys, key: a}
        resources:
          limits: {cpu: 100m}
        livenessProbe:
          grpc: {port: 1}
        lifecycle:
          preStop:
            sleep: {seconds: 1}
        volumeMounts:
        - {name: v, mountPath: /v}
      volumes:
      - name: v
        projected:
          sources:
          - secret: {name: keys}
---
apiVersion: v1
kind: Secret
metadata:
  name: keys
data:
  a: YQ==
---
apiVersion: v1
kind: Service
metadata:
  name: echo
spec:
  trafficDistribution: PreferClose
  selector: {app: echo}
  ports:
  - {name: grpc, port: 80}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: echo
spec:
  host: echo
  exportTo: ["*"]
  workloadSelector:
    matchLabels: {app: x}
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpCookie: {name: c, ttl: 1s}
      localityLbSetting:
        distribute:
        - from: a/*
          to:
            a/*: 80
            b: 20
    connectionPool:
      http: {maxRequestsPerConnection: 1}
    outlierDetection: {interval: 1s}
    portLevelSettings:
    - port: {number: 80}
      loadBalancer: {simple: RANDOM}
  subsets:
  - name: v1
    labels: {version: v1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: echo
spec:
  hosts: [echo]
  http:
  - match:
    - uri: {prefix: /a}
      headers:
        x: {exact: y}
    fault:
      delay:
        fixedDelay: 1s
        percentage: {value: 1}
      abort: {grpcStatus: UNAVAILABLE}
    mirrors:
    - destination: {host: echo}
    rewrite: {uri: /b}
    retries: {attempts: 1, retryOn: "503"}
    route:
    - destination: {host: echo, subset: v1}
      weight: 90
      headers:
        request:
          set: {a: b}
    - destination: {host: echo}
      weight: 10
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: more
spec:
  parentRefs:
  - {group: "", kind: Service, name: echo}
  rules:
  - matches:
    - method: {service: a, method: b}
      headers:
      - {name: x, value: y}
    filters:
    - type: RequestMirror
      requestMirror:
        backendRef: {name: echo, port: 80}
    backendRefs:
    - {name: echo, port: 80, weight: 1}
"""
LINES = TEXT.splitlines()
VALUES = [
    "[]", "{}", "~", "0", "-1", "1.5", "true", "''", "[1, {a: b}]", "[{}]", "[[]]", "{a: {b: c}}", "{a: ~}",
    "x", "*", "99999999999999999999", "1s", "50%",
]  # fmt: skip


def damaged(seed: int) -> str:
    rng, lines = random.Random(seed), list(LINES)
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                del lines[i]
            case 1:
                lines[i] = lines[i].partition(":")[0] + ": " + rng.choice(VALUES)
            case 2:
                lines.insert(i, rng.choice(lines))
            case 3:
                lines[i] = lines[i].replace(rng.choice("aeinorst"), rng.choice(["x", "", "{", "'"]), 1)
            case _:
                lines[i] = " " * rng.randint(0, 8) + lines[i].lstrip()
    return "\n".join(lines)


def translated(text: str, *, lenient: bool) -> None:
    bundle = load_text(text, "f", lenient=lenient)
    pods = (Endpoint("p", "127.0.0.1", {"app": "echo"}, region="a"),)
    for caller in (Caller(), Caller(labels={"app": "x"})):
        registry = Registry(bundle, pods)
        for resources in (
            outbound(registry, lambda s, p: ("127.0.0.9", 1), caller=caller),
            proxyless(registry, caller=caller),
        ):
            assert resources.version


def test_as_it_is() -> None:
    translated(TEXT, lenient=False)


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.booleans())
def test_any_damage(seed: int, lenient: bool) -> None:
    with contextlib.suppress(ManifestError):
        translated(damaged(seed), lenient=lenient)
