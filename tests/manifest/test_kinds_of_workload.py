"""What users' folders hold besides Deployments."""

from __future__ import annotations

import pytest

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.documents import documents
from whichpod.manifest.kinds import Deployment, Rollout, Volume
from whichpod.manifest.load import load_text
from whichpod.manifest.placement import Locality, locality, locality_of, node_of
from whichpod.model.errors import ManifestError, UsageError

POD = "containers: [{name: c, image: i, args: [a], ports: [{name: grpc, containerPort: 50051}]}]"


def workload(kind: str, spec: str = "", pod: str = POD, more: str = "") -> Deployment:
    return bundle(kind, spec, pod, more).deployments[0]


def bundle(kind: str, spec: str = "", pod: str = POD, more: str = "") -> Bundle:
    lines = "".join(f"  {line}\n" for line in spec.splitlines())
    return load_text(
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: db}}\nspec:\n{lines}"
        "  selector: {matchLabels: {app: db}}\n"
        f"  template:\n    metadata: {{labels: {{app: db}}}}\n    spec: {{{pod}}}\n{more}",
        "f",
    )


def test_a_stateful_set() -> None:
    found = workload(
        "StatefulSet",
        "replicas: 3\nserviceName: db-pods\nordinals: {start: 2}\nminReadySeconds: 4\n"
        "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}]",
        "containers: [{name: c, image: i, volumeMounts: [{name: data, mountPath: /data}]}]",
    )
    assert (found.kind, found.replicas, found.service_name, found.in_order) == (
        "StatefulSet",
        3,
        "db-pods",
        True,
    )
    assert [found.pod_name(n) for n in range(3)] == ["db-2", "db-3", "db-4"]
    assert found.labels_of(0) == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-2",
        "apps.kubernetes.io/pod-index": "2",
    }
    assert found.volumes == (Volume("data"),)
    assert found.rollout == Rollout(max_surge=0, max_unavailable=1, min_ready_s=4)
    assert not workload("StatefulSet", "podManagementPolicy: Parallel").in_order


def test_a_stateful_set_without_its_service() -> None:
    service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\n"
    service += "spec: {clusterIP: None, selector: {app: db}}\n"
    assert bundle("StatefulSet", "serviceName: db", more=service).notes == ()
    for more in ("", service.replace("clusterIP: None, ", "ports: [{port: 1}], ")):
        (note,) = bundle("StatefulSet", "serviceName: db", more=more).notes
        assert "'db' is no headless Service, so its pods have no DNS names" in note.message


def test_a_replica_set_and_a_pod() -> None:
    found = workload("ReplicaSet", "replicas: 2")
    assert (found.kind, found.replicas, found.pod_name(1)) == ("ReplicaSet", 2, "db-1")
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: one, labels: {app: x}, annotations: {a: b}}\n"
    one = load_text(text + f"spec: {{restartPolicy: Never, {POD}}}")
    (pod,) = one.deployments
    assert (pod.kind, pod.replicas, pod.pod_name(0)) == ("Pod", 1, "one")
    assert (pod.pod_labels, pod.pod_annotations, pod.ports()) == ({"app": "x"}, {"a": "b"}, {"grpc": 50051})
    assert [n.message for n in one.notes] == ["Pod one: spec.restartPolicy has no effect in the lab."]


NODES = "".join(
    f"---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{i}, labels: {{topology.kubernetes.io/region: r, "
    f"topology.kubernetes.io/zone: z{i % 2}, disk: d{i % 2}}}}}\n"
    for i in range(4)
)


def test_a_daemon_set_has_a_pod_on_each_node_of_the_lab() -> None:
    assert workload("DaemonSet").replicas == 3
    assert workload("DaemonSet", more=NODES).replicas == 4
    chosen = bundle("DaemonSet", pod=f"nodeSelector: {{disk: d1}}, {POD}", more=NODES)
    (found,) = chosen.deployments
    assert found.replicas == 2
    assert [node_of(chosen, found, n) for n in range(2)] == ["n1", "n3"]
    assert locality_of(chosen, found, 1) == Locality("r", "z1")
    with pytest.raises(UsageError, match="DaemonSet, which has no number of replicas"):
        chosen.scaled("db", 4)


def test_where_a_pod_is() -> None:
    node = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z"}
    assert locality({}) == Locality()
    assert locality({}, node) == Locality("r", "z")
    assert locality({"topology.kubernetes.io/zone": "y"}, node) == Locality("r", "y")
    assert locality({"istio-locality": "a.b.c"}, node) == Locality("a", "b", "c")
    assert locality({"istio-locality": "a/b"}, node) == Locality("a", "b")
    assert [str(Locality("a", "b")), str(Locality("a", "", "c")), str(Locality())] == ["a/b", "a//c", ""]


def test_a_node_that_is_not_there() -> None:
    for pod, says in (
        ("nodeSelector: {disk: ssd}", "nodeSelector matches no node"),
        ("nodeName: n9", "there is no Node 'n9'"),
    ):
        found = bundle("Deployment", pod=f"{pod}, {POD}")
        assert says in found.notes[0].message
        assert node_of(found, found.deployments[0], 4) in ("node-b", "n9")


@pytest.mark.parametrize(
    ("strategy", "surge", "unavailable"),
    [
        ("{}", 2, 1),
        ("{rollingUpdate: {maxSurge: 0, maxUnavailable: 2}}", 0, 2),
        ("{rollingUpdate: {maxSurge: '10%', maxUnavailable: 0}}", 1, 0),
        ("{rollingUpdate: {maxSurge: 0, maxUnavailable: 10%}}", 0, 1),
    ],
)
def test_how_a_deployment_rolls_out(strategy: str, surge: int, unavailable: int) -> None:
    rollout = workload("Deployment", f"strategy: {strategy}").rollout
    assert (rollout.surge(5), rollout.unavailable(5)) == (surge, unavailable)


@pytest.mark.parametrize(
    ("expression", "selects"),
    [
        ("{key: app, operator: In, values: [x, db]}", True),
        ("{key: app, operator: NotIn, values: [x]}", True),
        ("{key: app, operator: Exists}", True),
        ("{key: app, operator: DoesNotExist}", False),
        ("{key: app, operator: In, values: [x]}", False),
    ],
)
def test_a_selector_of_expressions(expression: str, selects: bool) -> None:
    text = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: db}\nspec:\n"
        f"  selector: {{matchExpressions: [{expression}]}}\n"
        f"  template: {{metadata: {{labels: {{app: db}}}}, spec: {{{POD}}}}}\n"
    )
    if selects:
        assert load_text(text).deployments[0].pod_labels == {"app": "db"}
    else:
        with pytest.raises(ManifestError, match="does not match spec"):
            load_text(text)


@pytest.mark.parametrize(
    ("kind", "spec", "says"),
    [
        ("Deployment", "strategy: {type: OnDelete}", "'OnDelete' is not understood"),
        (
            "Deployment",
            "strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}",
            "can't be given with type",
        ),
        ("Deployment", "strategy: {rollingUpdate: {maxSurge: some}}", "neither a number nor a percentage"),
        ("StatefulSet", "serviceName: UP", "'UP' is no valid name"),
        ("DaemonSet", "replicas: 2", "replicas is not understood"),
    ],
)
def test_what_is_refused(kind: str, spec: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        workload(kind, spec)


def test_two_workloads_of_one_name_would_make_pods_of_one_name() -> None:
    two = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: db}\nspec: {" + POD + "}\n"
    with pytest.raises(ManifestError, match="Pod db: Deployment db has that name too"):
        workload("Deployment", more=two)


def test_documents_of_other_kinds_are_brought_up_to_date() -> None:
    text = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec: {" + POD + "}\n"
    found = bundle("StatefulSet", "replicas: 2", more=text).scaled("db", 4)
    stateful, pod = documents(found)
    assert stateful["spec"]["replicas"] == 4
    assert "replicas" not in pod["spec"]
    assert "replicas" not in documents(bundle("DaemonSet"))[0]["spec"]


OWNED = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata:
    name: db-abc
    ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: db-1, controller: true}]
  spec: {nothing: known}
"""


def test_what_a_controller_made_is_left_out() -> None:
    found = load_text(OWNED, "f")
    assert (found.deployments, found.documents) == ((), ())
    assert [str(n) for n in found.notes] == ["f:4: Pod db-abc: is left out, since ReplicaSet db-1 makes it."]
