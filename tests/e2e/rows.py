"""Rows of a matrix, written for tests: in a folder of their own, with the package's base manifests."""

from __future__ import annotations

from pathlib import Path

from whichpod.scenarios.scenario import BUILT_IN

BASE = BUILT_IN / "base"
HEADLESS = (BASE / "echo.yaml", BASE / "service-headless.yaml")

RIGGED = """
apiVersion: v1
kind: Service
metadata: {name: hot}
spec: {clusterIP: None, selector: {heat: hot}, ports: [{name: grpc, port: 50051, targetPort: grpc}]}
---
apiVersion: v1
kind: Service
metadata: {name: cold}
spec: {clusterIP: None, selector: {heat: cold}, ports: [{name: grpc, port: 50051, targetPort: grpc}]}
"""


def row(
    folder: Path,
    name: str,
    *manifests: Path,
    expect: str = "even",
    client: str = 'service = "echo-headless"',
    plan: str = 'policy = "round_robin"',
) -> Path:
    """Writes a row; returns the folder that `--scenarios` takes."""
    (folder / name).mkdir(parents=True)
    listed = ", ".join(f'"{m}"' for m in manifests)
    (folder / name / "scenario.toml").write_text(
        f'title = "{name}"\nexpect = "{expect}"\nwhy = "A test."\nmanifests = [{listed}]\n'
        f"[client]\n{client}\n[plan]\n{plan}\n"
    )
    return folder


def rigged(folder: Path) -> Path:
    """One L7 proxy before five pods, which sends two thirds of the RPCs to one of them."""
    hot = (BASE / "echo.yaml").read_text().replace("app: echo", "app: echo, heat: cold")
    hot = hot.replace("replicas: 5", "replicas: 4").replace("  name: echo\n", "  name: echo-cold\n")
    cold = hot.replace("heat: cold", "heat: hot").replace("replicas: 4", "replicas: 1")
    cold = cold.replace("name: echo-cold\n", "name: echo-hot\n")
    edge = (BUILT_IN / "edge-envoy" / "edge.yaml").read_text()
    route = "route: {cluster: echo, timeout: 0s}"
    assert route in edge
    split = "{clusters: [{name: hot, weight: 67}, {name: cold, weight: 33}]}"
    edge = edge.replace(route, f"route: {{timeout: 0s, weighted_clusters: {split}}}")
    head, clusters = edge.split("                clusters:\n")
    cluster, rest = clusters.split("          env:\n")
    both = "".join(
        cluster.replace("- name: echo\n", f"- name: {name}\n")
        .replace("cluster_name: echo", f"cluster_name: {name}")
        .replace("echo-headless.default", f"{name}.default")
        for name in ("hot", "cold")
    )
    file = folder / "rigged.yaml"
    edge = f"{head}                clusters:\n{both}          env:\n{rest}"
    file.write_text("\n---\n".join((hot, cold, RIGGED, edge)))
    return row(
        folder,
        "rigged",
        file,
        BASE / "service-headless.yaml",
        BASE / "service-edge.yaml",
        client='service = "edge"\nport = 8080\nbackends = "echo-headless"',
        plan="requests = 50",
    )
