"""Reads what makes pods (kubernetes.io, API reference apps/v1 and v1): Deployments and their kin."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from whichpod.manifest.fields import Fields
from whichpod.manifest.kinds import Deployment, Meta, Rollout, Volume, WorkloadKind
from whichpod.manifest.meta import check_name, labels, read_meta, read_metadata
from whichpod.manifest.pods import read_pod
from whichpod.manifest.volumes import read_claim_template

_Test = Callable[[Mapping[str, str]], bool]
MOST_REPLICAS = 10_000
_PERCENT = re.compile(r"\d{1,4}%")


def read_deployment(top: Fields) -> Deployment:
    """Reads a Deployment."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    if spec is None:
        return _nothing(top, meta, "Deployment")
    replicas = spec.whole("replicas", 1, high=MOST_REPLICAS)
    rollout = Rollout()
    if strategy := spec.child("strategy"):
        rollout = _rollout(strategy, ("RollingUpdate", "Recreate"))
    rollout = replace(rollout, min_ready_s=spec.whole("minReadySeconds"))
    spec.without_effect("paused", "progressDeadlineSeconds", "revisionHistoryLimit")
    return replace(_of_template(top, meta, spec, "Deployment"), replicas=replicas, rollout=rollout)


def read_replica_set(top: Fields) -> Deployment:
    """Reads a ReplicaSet."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    if spec is None:
        return _nothing(top, meta, "ReplicaSet")
    replicas = spec.whole("replicas", 1, high=MOST_REPLICAS)
    rollout = Rollout("OnDelete", min_ready_s=spec.whole("minReadySeconds"))
    return replace(_of_template(top, meta, spec, "ReplicaSet"), replicas=replicas, rollout=rollout)


def read_stateful_set(top: Fields) -> Deployment:
    """Reads a StatefulSet: pods with names and DNS names that stay."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    if spec is None:
        return _nothing(top, meta, "StatefulSet")
    replicas = spec.whole("replicas", 1, high=MOST_REPLICAS)
    rollout = Rollout(max_surge=0, max_unavailable=1)
    if strategy := spec.child("updateStrategy"):
        rollout = _rollout(strategy, ("RollingUpdate", "OnDelete"), surge=0, unavailable=1)
    rollout = replace(rollout, min_ready_s=spec.whole("minReadySeconds"))
    order = spec.choice("podManagementPolicy", ("OrderedReady", "Parallel"), "OrderedReady")
    first = 0
    if ordinals := spec.child("ordinals"):
        first = ordinals.whole("start")
        ordinals.done()
    service = spec.text("serviceName")
    check_name(spec, "serviceName", service, "service")
    claims = tuple(read_claim_template(c) for c in spec.children("volumeClaimTemplates"))
    spec.without_effect("persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit")
    return replace(
        _of_template(top, meta, spec, "StatefulSet", claims),
        replicas=replicas,
        rollout=rollout,
        service_name=service,
        first_ordinal=first,
        in_order=order == "OrderedReady",
    )


def read_daemon_set(top: Fields) -> Deployment:
    """Reads a DaemonSet. Its replicas are counted when the nodes are known."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    if spec is None:
        return _nothing(top, meta, "DaemonSet")
    rollout = Rollout(max_surge=0, max_unavailable=1)
    if strategy := spec.child("updateStrategy"):
        rollout = _rollout(strategy, ("RollingUpdate", "OnDelete"), surge=0, unavailable=1)
    rollout = replace(rollout, min_ready_s=spec.whole("minReadySeconds"))
    spec.without_effect("revisionHistoryLimit")
    return replace(_of_template(top, meta, spec, "DaemonSet"), rollout=rollout)


def read_bare_pod(top: Fields) -> Deployment:
    """Reads a Pod, which is a workload of one."""
    meta = read_meta(top, "subdomain")
    spec = top.child("spec", required=True)
    if spec is None:
        return _nothing(top, meta, "Pod")
    found = Deployment(meta, top.where, 1, {}, meta.labels, (), meta.annotations, kind="Pod")
    return replace(read_pod(spec, found, always=False), rollout=Rollout("OnDelete"))


def _nothing(top: Fields, meta: Meta, kind: WorkloadKind) -> Deployment:
    return Deployment(meta, top.where, 0, {}, {}, (), kind=kind)


def _of_template(
    top: Fields, meta: Meta, spec: Fields, kind: WorkloadKind, claims: tuple[Volume, ...] = ()
) -> Deployment:
    """The pods that `spec.template` describes."""
    selector, expressions = _selector(spec)
    template = spec.child("template", required=True)
    spec.done()
    found = Deployment(meta, top.where, 1, selector, {}, (), kind=kind)
    if template is None:
        return found
    pod_labels, annotations = _pod_meta(template)
    if any(pod_labels.get(k) != v for k, v in selector.items()) or not all(
        e(pod_labels) for e in expressions
    ):
        spec.fail(
            "selector",
            "does not match spec.template.metadata.labels.",
            fix=f"Kubernetes refuses such a {kind}: give the template every label of the selector.",
        )
    pod = template.child("spec", required=True)
    template.done()
    found = replace(found, pod_labels=pod_labels, pod_annotations=annotations, volumes=claims)
    return found if pod is None else read_pod(pod, found)


def _selector(spec: Fields) -> tuple[dict[str, str], list[_Test]]:
    selector = spec.child("selector", required=True)
    if selector is None:
        return {}, []
    found = labels(selector, "matchLabels")
    expressions = [_expression(e) for e in selector.children("matchExpressions")]
    selector.done()
    if not found and not expressions and set(selector.node.items) <= {"matchLabels", "matchExpressions"}:
        spec.fail("selector", "selects nothing.", fix="Give it matchLabels that the template has too.")
    return found, expressions


def _expression(e: Fields) -> _Test:
    """A LabelSelectorRequirement, as a question to labels."""
    key, values = e.text("key", required=True), e.texts("values")
    operator = e.choice("operator", ("In", "NotIn", "Exists", "DoesNotExist"), "In")
    e.done()
    if operator in ("Exists", "DoesNotExist"):
        return lambda has: (key in has) is (operator == "Exists")
    return lambda has: (has.get(key) in values) is (operator == "In")


def _pod_meta(template: Fields) -> tuple[dict[str, str], dict[str, str]]:
    meta = template.child("metadata")
    if meta is None:
        return {}, {}
    found = labels(meta, "labels"), meta.strings("annotations")
    read_metadata(meta, "name", "namespace")
    return found


def _rollout(
    strategy: Fields,
    kinds: tuple[Literal["RollingUpdate", "Recreate", "OnDelete"], ...],
    *,
    surge: int | str = "25%",
    unavailable: int | str = "25%",
) -> Rollout:
    chosen = strategy.choice("type", kinds, "RollingUpdate")
    kind = next(k for k in kinds if k == chosen)
    if rolling := strategy.child("rollingUpdate"):
        surge = _amount(rolling, "maxSurge", surge)
        unavailable = _amount(rolling, "maxUnavailable", unavailable)
        rolling.without_effect("partition")
        rolling.done()
        if kind != "RollingUpdate":
            strategy.fail("rollingUpdate", f"can't be given with type {kind}.")
    strategy.done()
    return Rollout(kind, surge, unavailable)


def _amount(of: Fields, name: str, default: int | str) -> int | str:
    """A number of pods, or a percentage of them."""
    text = of.amount(name)
    if not text:
        return default
    if text.isdecimal():
        return int(text)
    if not _PERCENT.fullmatch(text):
        of.fail(name, f"{text!r} is neither a number nor a percentage.")
        return default
    return text
