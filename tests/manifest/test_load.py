from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.load import load, load_text
from whichpod.model.errors import ManifestError, UsageError


def refused(text: str) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_text(text, "f.yaml")
    return caught.value


def test_a_file_a_folder_and_text(tmp_path: Path, echo: str) -> None:
    deployment, service = echo.split("---\n")
    (tmp_path / "1.yaml").write_text(deployment)
    (tmp_path / "2.yml").write_text(service)
    (tmp_path / "readme.md").write_text("no manifest")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "3.yaml").write_text("broken: [")
    folder = load(tmp_path)
    assert (len(folder.deployments), len(folder.services)) == (1, 1)
    assert folder.services[0].where.file == str(tmp_path / "2.yml")
    assert load(tmp_path / "1.yaml", service).services == load_text(service).services
    assert load() == Bundle()


def test_the_items_of_a_list_and_json() -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}, indent=2)
    (found,) = load_text(text).config_maps
    assert dict(found.data) == {"a": "1"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_what_cant_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.yaml"
    if content:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.yaml"):
        load(path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no manifests"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("replicas: 5", "replicas: five", 6, "spec.replicas must be a whole number, not text."),
        ("replicas: 5", "replicas: -1", 6, "spec.replicas must be from 0 to"),
        ("replicas: 5", 'replicas: "5"', 6, "spec.replicas must be a whole number"),
        ("replicas: 5", "replicas: true", 6, "spec.replicas must be a whole number, not a boolean."),
        ("replicas: 5", "foo: 5", 6, "Deployment echo: spec.foo is not understood."),
        ("    spec:\n", "    spec:\n      foo: 1\n", 13, "spec.template.spec.foo is not understood."),
        ("image: whichpod:latest", "imge: x", 15, "containers[0].imge is not understood."),
        ("        image: whichpod:latest\n", "", 14, "spec.template.spec.containers[0].image is missing."),
        ("name: grpc, containerPort: 50051", "name: GRPC, containerPort: 50051", 17, "is no valid name"),
        ("containerPort: 50051", "containerPort: 70000", 17, "from 1 to 65535"),
        ("labels: {app: echo, version: v1}", "labels: {app: other}", 7, "does not match spec.template"),
        ("matchLabels: {app: echo}", "matchExpressions: []", 7, "spec.selector selects nothing"),
        ("labels: {app: echo, version: v1}", "labels: {app: echo, n: 1}", 11, "labels.n must be text"),
        ("kind: Deployment", "kind: CronTab", 2, "kind CronTab is not understood."),
        ("apiVersion: apps/v1", "apiVersion: apps/v2", 1, "apps/v2 is not understood for a Deployment."),
        ("  name: echo\nspec:\n  replicas", "  name: Echo!\nspec:\n  replicas", 4, "is no valid name."),
        ("targetPort: grpc", "targetPort: web", 26, "targetPort 'web' is no port of the containers"),
        ("port: 50051, target", "port: 0, target", 26, "ports[0].port must be from 1 to 65535"),
        ("kind: Service\n", "kind: Service\nmore: 1\n", 21, "Service echo: more is not understood."),
        ("selector: {app: echo}\n  ports", "type: ExternalName\n  ports", 24, "ExternalName is not"),
        ("- {name: grpc, port", "- {nam: grpc, port", 26, "ports[0].nam is not understood."),
    ],
)  # fmt: skip
def test_an_error_names_file_line_object_and_path(
    echo: str, old: str, new: str, line: int, says: str
) -> None:
    assert old in echo
    found = refused(echo.replace(old, new, 1))
    assert found.message.startswith(f"f.yaml:{line}: ")
    assert says in found.message


def test_the_first_error_says_how_many_follow(echo: str) -> None:
    found = refused(echo.replace("replicas: 5", "foo: 1\n  bar: 2\n  baz: 3"))
    assert "spec.foo" in found.message
    assert "2 more errors" in found.fix
    assert "1 more error " in refused(echo.replace("replicas: 5", "foo: 1\n  bar: 2")).fix


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- 1", "must be an object, not a list"),
        ("a: 1", "apiVersion is missing"),
        ("apiVersion: v1", "kind is missing"),
        ("apiVersion: v1\nkind: Service", "metadata is missing"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}", "spec is missing"),
        ("apiVersion: v1\nkind: Service\nmetadata: 5\nspec: []", "metadata must be an object, not a number"),
    ],
)
def test_what_is_no_manifest(text: str, says: str) -> None:
    assert says in refused(text).message


def test_what_the_lab_ignores_is_noted(echo: str) -> None:
    text = echo.replace("        ports:\n", "        resources: {limits: {cpu: 1}}\n        ports:\n", 1)
    text += "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: sa}\n"
    text += "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sa}\n"
    notes = [str(n) for n in load_text(text, "f.yaml").notes]
    assert notes == [
        "f.yaml:16: Deployment echo: spec.template.spec.containers[0].resources has no effect in the lab.",
        "f.yaml:29: NetworkPolicy sa: is not enforced in the lab.",
    ]
    assert load_text(echo).notes == ()


@given(st.text())
def test_any_text_is_a_bundle_or_a_manifest_error(text: str) -> None:
    with contextlib.suppress(ManifestError):
        assert isinstance(load(text), Bundle)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.integers(0, 2**32))
def test_any_damage_to_a_manifest_is_a_bundle_or_a_manifest_error(echo: str, seed: int) -> None:
    rng = random.Random(seed)
    lines = echo.splitlines()
    values = [
        "[]",
        "{}",
        "~",
        "1",
        "-1",
        "true",
        "''",
        "[1, {a: b}]",
        "{a: {b: c}}",
        "x",
        "99999999999999999999",
    ]
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                del lines[i]
            case 1:
                lines[i] = lines[i].partition(":")[0] + ": " + rng.choice(values)
            case 2:
                lines.insert(i, rng.choice(lines))
            case _:
                lines[i] = " " * rng.randint(0, 8) + lines[i].lstrip()
    with contextlib.suppress(ManifestError):
        assert isinstance(load("\n".join(lines)), Bundle)
