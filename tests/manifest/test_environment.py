"""Variables and files from ConfigMaps and Secrets."""

from __future__ import annotations

import pytest

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import (
    ExecCheck,
    GrpcCheck,
    HttpCheck,
    Probe,
    Sleep,
    TcpCheck,
)
from whichpod.manifest.load import load_text
from whichpod.manifest.volumes import content
from whichpod.model.errors import ManifestError

TEXT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}, annotations: {say: 'a "b"'}}
    spec:
      containers:
      - name: c
        image: i
        CONTAINER
      volumes: [VOLUMES]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {LEVEL: debug, PRICE: "$5 $(LEVEL)", no-name/really: x, 1st: x}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
type: Opaque
data: {TOKEN: czNjcmV0, raw: /w==}
stringData: {USER: amy, TOKEN: plain}
""".replace("no-name/really: x, ", "")


def load(container: str = "", volumes: str = "", *, lenient: bool = False) -> Bundle:
    text = TEXT.replace("CONTAINER", container or "tty: false").replace("VOLUMES", volumes)
    return load_text(text, "f", lenient=lenient)


def env(container: str, *, lenient: bool = False) -> list[tuple[str, str | None]]:
    return [(e.name, e.value) for e in load(container, lenient=lenient).deployments[0].containers[0].env]


def test_a_secrets_texts() -> None:
    assert dict(load().secrets[0].data) == {"TOKEN": "plain", "USER": "amy", "raw": "\udcff"}


def test_keys_become_values_which_are_not_expanded() -> None:
    assert env(
        "env: [{name: A, value: x}, {name: B, valueFrom: {configMapKeyRef: {name: settings, key: PRICE}}}, "
        "{name: C, valueFrom: {secretKeyRef: {name: keys, key: USER}}}, "
        "{name: D, valueFrom: {secretKeyRef: {name: keys, key: none, optional: true}}}]"
    ) == [("A", "x"), ("B", "$$5 $$(LEVEL)"), ("C", "amy")]


def test_all_keys_and_the_containers_own_after_them() -> None:
    assert env(
        "envFrom: [{configMapRef: {name: settings}}, {prefix: K_, secretRef: {name: keys}}, "
        "{configMapRef: {name: none, optional: true}}]\n        env: [{name: LEVEL, value: info}]"
    ) == [
        ("LEVEL", "debug"),
        ("PRICE", "$$5 $$(LEVEL)"),
        ("K_TOKEN", "plain"),
        ("K_raw", "\udcff"),
        ("K_USER", "amy"),
        ("LEVEL", "info"),
    ]


@pytest.mark.parametrize(
    ("resource", "value"),
    [
        ("resource: limits.cpu", "2"),
        ("resource: limits.cpu, divisor: 1m", "1500"),
        ("resource: limits.memory, divisor: 1Mi", "128"),
        ("resource: requests.memory", "64000000"),
    ],
)
def test_resources(resource: str, value: str) -> None:
    limits = "resources: {limits: {cpu: 1.5, memory: 128Mi}, requests: {memory: 64M}}\n        "
    found = env(limits + f"env: [{{name: A, valueFrom: {{resourceFieldRef: {{{resource}}}}}}}]")
    assert found == [("A", value)]


@pytest.mark.parametrize(
    ("container", "line", "says"),
    [
        ("env: [{name: A, valueFrom: {secretKeyRef: {name: nope, key: k}}}]", 12, "in a Secret 'nope'"),
        ("env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: k}}}]", 12, "no key 'k'"),
        ("envFrom: [{secretRef: {name: nope}}]", 12, "there is no Secret 'nope' for its environment"),
        ("env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]", 12, "is not set"),
        ("env: [{name: A, valueFrom: {fileKeyRef: {}}}]", 12, "fileKeyRef is not understood"),
    ],
)  # fmt: skip
def test_what_is_missing_is_an_error_and_lenient_a_note(container: str, line: int, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        load(container)
    assert caught.value.message.startswith(f"f:{line}: Deployment app: ")
    assert says in caught.value.message
    bundle = load(container, lenient=True)
    assert any(says in n.message and n.line == line for n in bundle.notes)
    assert [e for e in bundle.deployments[0].containers[0].env if e.value] == []


def files(volume: str, *, lenient: bool = False) -> dict[str, str]:
    bundle = load("volumeMounts: [{name: v, mountPath: /x}]", f"{{name: v, {volume}}}", lenient=lenient)
    (d,) = bundle.deployments
    return content(bundle, d, d.volumes[0], lambda path: f"<{path}>")


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ("emptyDir: {}", {}),
        ("persistentVolumeClaim: {claimName: c}", {}),
        ("secret: {secretName: keys, items: [{key: USER, path: a/b}]}", {"a/b": "amy"}),
        ("secret: {secretName: none, optional: true}", {}),
        ("configMap: {name: settings, items: [{key: LEVEL, path: l}]}", {"l": "debug"}),
        (
            "downwardAPI: {items: [{path: n, fieldRef: {fieldPath: metadata.name}}, "
            "{path: a, fieldRef: {fieldPath: metadata.annotations}}]}",
            {"n": "<metadata.name>", "a": 'say="a \\"b\\""\n'},
        ),
        (
            "projected: {sources: [{configMap: {name: settings, items: [{key: LEVEL, path: l}]}}, "
            "{secret: {name: keys, items: [{key: USER, path: u}]}}, {serviceAccountToken: {path: t}}]}",
            {"l": "debug", "u": "amy"},
        ),
    ],
)
def test_volumes(volume: str, expected: dict[str, str]) -> None:
    assert files(volume) == expected


@pytest.mark.parametrize(
    ("volume", "says"),
    [
        ("secret: {secretName: none}", "there is no Secret 'none' for its volume 'v'"),
        ("hostPath: {path: /etc}", "hostPath is not supported"),
        ("emptyDir: {}, configMap: {name: settings}", "can't both be given"),
        ("downwardAPI: {items: [{path: a, fieldRef: {fieldPath: spec.x}}]}", "'spec.x' is not understood"),
        ("secret: {secretName: keys, items: [{key: USER, path: ../a}]}", "relative"),
    ],
)
def test_volumes_that_are_refused(volume: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        files(volume)


def test_a_volume_that_is_not_supported_is_empty_when_lenient() -> None:
    assert files("hostPath: {path: /etc}", lenient=True) == {}


def test_probes_and_hooks() -> None:
    (found,) = (
        load(
            "ports: [{name: http, containerPort: 80}]\n"
            "        livenessProbe: {httpGet: {port: http}, terminationGracePeriodSeconds: 1}\n"
            "        startupProbe: {tcpSocket: {port: 80}, failureThreshold: 30}\n"
            "        readinessProbe: {grpc: {port: 80}}\n"
            "        lifecycle: {preStop: {sleep: {seconds: 5}}}"
        )
        .deployments[0]
        .containers
    )
    assert found.liveness == Probe(HttpCheck("http"), grace_s=1)
    assert found.startup == Probe(TcpCheck(80), failure_threshold=30)
    assert found.readiness == Probe(GrpcCheck(80))
    assert found.pre_stop == Sleep(5)


@pytest.mark.parametrize(
    ("hook", "expected"),
    [
        ("{preStop: {exec: {command: [sh, -c, sleep 5]}}}", ExecCheck(("sh", "-c", "sleep 5"))),
        ("{preStop: {httpGet: {port: 80, path: /drain}}}", HttpCheck(80, "/drain")),
        ("{postStart: {exec: {command: [x]}}}", None),
    ],
)
def test_pre_stop(hook: str, expected: object) -> None:
    assert load(f"lifecycle: {hook}").deployments[0].containers[0].pre_stop == expected


@pytest.mark.parametrize(
    ("container", "says"),
    [
        ("lifecycle: {preStop: {}}", "must have one of sleep, exec and httpGet"),
        ("livenessProbe: {tcpSocket: {port: 80}, successThreshold: 2}", "must be from 1 to 1"),
        ("readinessProbe: {tcpSocket: {port: 80}, terminationGracePeriodSeconds: 2}", "can't be set"),
        ("livenessProbe: {httpGet: {port: web}}", "is probed on a port 'web'"),
        ("resources: {limits: {cpu: much}}", "'much' is not an amount"),
    ],
)
def test_containers_that_are_refused(container: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        load(container)


def test_init_containers_are_read_and_noted() -> None:
    text = TEXT.replace("CONTAINER", "tty: false").replace("VOLUMES", "")
    init = "initContainers: [{name: wait, image: i}, {name: proxy, image: p, restartPolicy: Always}]\n      "
    bundle = load_text(text.replace("containers:\n", f"{init}containers:\n", 1), "f")
    found = bundle.deployments[0].init_containers
    assert [(c.name, c.restarts) for c in found] == [("wait", False), ("proxy", True)]
    assert [n.message for n in bundle.notes if "init container" in n.message] == [
        "Deployment app: the init container wait is left out where the lab doesn't know its image.",
        "Deployment app: the init container proxy is left out where the lab doesn't know its image.",
    ]
