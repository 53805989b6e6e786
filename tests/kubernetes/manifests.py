"""Objects for tests, and what Kubernetes would say of them."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.schemas import SCHEMAS
from whichpod.cluster.kubernetes.dress import dress
from whichpod.manifest.documents import documents
from whichpod.scenarios.scenario import scenarios

Document = dict[str, Any]
SCENARIOS = scenarios()
MARKS = {"app.kubernetes.io/managed-by": "whichpod", "whichpod.io/run": "r1"}


def dressed(given: list[Document], **changes: Any) -> list[Document]:
    said: dict[str, Any] = {
        "run": "r1", "namespace": "whichpod-r1", "image": "registry.example/whichpod:1", "istio": True,
        "cluster_dns": "10.43.0.10",
    }  # fmt: skip
    return dress(given, **said | changes)


def raw(name: str) -> list[Document]:
    return documents(next(s for s in SCENARIOS if s.name == name).bundle())


def of_kind(found: list[Document], kind: str) -> Document:
    return next(d for d in found if d["kind"] == kind)


def service(name: str = "echo", **metadata: Any) -> Document:
    metadata = {"name": name, **metadata}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": name}}}


def config(text: str, **metadata: Any) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", **metadata},
        "data": {"labels": text},
    }


def deployment(name: str = "echo", *, image: str = "whichpod", replicas: int = 5, **pod: Any) -> Document:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": image}], **pod},
            },
        },
    }


def validate(document: Document, version: str) -> None:
    """Raises where Kubernetes of that version would refuse the object, by its published schema."""
    SCHEMAS.validate(document, version, strict=True)
