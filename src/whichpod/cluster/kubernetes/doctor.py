"""What of whichpod will work in a cluster, what won't, and why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import ForbiddenError, Request
from whichpod.cluster.kubernetes.facts import Facts, gather, lacks
from whichpod.cluster.kubernetes.home import USE
from whichpod.cluster.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    EVENT,
    GATEWAY,
    GRPC_ROUTE,
    JOB,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from whichpod.cluster.kubernetes.names import RUN, ours

AT_ONCE = 8
"""Questions at a time."""
OLDEST, NEWEST = (1, 27), (1, 37)
"""Kubernetes versions against whose schemas the manifests are checked."""
_MAKE = ("create", "patch", "delete", "get", "list")
_RIGHTS: dict[str, tuple[tuple[Kind, str, tuple[str, ...]], ...]] = {
    "rows": (
        (CONFIG_MAP, "", _MAKE),
        (SERVICE, "", _MAKE),
        (DEPLOYMENT, "", _MAKE),
        (JOB, "", _MAKE),
        (POD, "", ("get", "list", "watch")),
        (POD, "log", ("get",)),
        (EVENT, "", ("list",)),
        (ENDPOINT_SLICE, "", ("list",)),
    ),
    "rows with Istio": (
        (DESTINATION_RULE, "", _MAKE),
        (VIRTUAL_SERVICE, "", _MAKE),
        (PEER_AUTHENTICATION, "", _MAKE),
    ),
    "rows with the Gateway API": ((GATEWAY, "", _MAKE), (GRPC_ROUTE, "", _MAKE)),
    "port-forward": ((POD, "portforward", ("get", "create")),),
    "watch and bench": ((POD, "proxy", ("get",)), (ENDPOINT_SLICE, "", ("list", "watch"))),
}
"""What needs which verbs, in the namespace of a run; deploy/rbac.yaml grants them."""
_OWN = ((NAMESPACE, "", ("create", "patch", "delete", "get", "list")),)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool | None
    """None: neither good nor bad, or not known."""
    text: str
    fix: str = ""
    rules: tuple[str, ...] = ()
    """Of a Role, each a line of YAML: what grants the rights that are missing."""


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found."""

    facts: Facts
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.ok is not False for finding in self.findings)


def needed(namespace: str = "") -> list[Request]:
    """Every verb that whichpod uses in a run's namespace, as roles grant them."""
    return [
        Request(verb, kind, namespace, subresource=subresource)
        for rights in _RIGHTS.values()
        for kind, subresource, verbs in rights
        for verb in verbs
    ]


async def examine(api: Api, namespace: str = "") -> Examination:
    """Looks at the cluster, and asks for every right that a run in `namespace` (empty: one of its own) needs.

    Raises what concerns all: a server that can't be reached, credentials that aren't accepted.
    """
    facts = await gather(api)
    rights = await _rights(api, facts, namespace)
    findings = [Finding("access", True, f"{api.where}, namespace {api.namespace}"), _version(facts)]
    findings += await _home(api, namespace)
    findings += rights
    findings += _network(facts)
    findings += _mesh(facts)
    findings += [Finding("not known", None, f"{what}: {why}") for what, why in facts.unknown.items()]
    return Examination(facts, tuple(findings))


def _version(facts: Facts) -> Finding:
    said = ".".join(map(str, facts.version))
    nodes = f", {facts.nodes} nodes" if facts.nodes else ""
    if facts.version < OLDEST:
        return Finding(
            "version",
            None,
            f"Kubernetes {said}{nodes}: older than the manifests are checked against",
            f"They are checked against {_span()}.",
        )
    return Finding("version", True, f"Kubernetes {said}{nodes}")


def _span() -> str:
    return f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"


async def _rights(api: Api, facts: Facts, namespace: str) -> list[Finding]:
    found = [await _missing(api, "a namespace for every run", _OWN, "")] if not namespace else []
    # A namespace of its own isn't there yet: rights in all of them are asked for.
    for what, rights in _RIGHTS.items():
        if (what == "rows with Istio" and not facts.istio) or (
            what == "rows with the Gateway API" and not facts.gateway_api
        ):
            continue
        found.append(await _missing(api, what, rights, namespace))
    return found


async def _missing(
    api: Api, what: str, rights: Sequence[tuple[Kind, str, tuple[str, ...]]], namespace: str
) -> Finding:
    room = asyncio.Semaphore(AT_ONCE)

    async def asked(request: Request) -> Request | None:
        async with room:
            allowed = await api.allowed(
                request.verb, request.kind, request.namespace, subresource=request.subresource
            )
        return None if allowed else request

    requests = [
        Request(verb, kind, namespace if kind.namespaced else "", subresource=subresource)
        for kind, subresource, verbs in rights
        for verb in verbs
    ]
    denied = [r for r in await asyncio.gather(*map(asked, requests)) if r]
    if not denied:
        return Finding(f"rights: {what}", True, f"all {len(requests)} are granted")
    gathered = _gathered(denied)
    listed = "; ".join(f"{', '.join(verbs)}: {', '.join(resources)}" for _, verbs, resources in gathered)
    fix = "kubectl apply -f deploy/rbac.yaml grants what runs need."
    if denied[0].kind is NAMESPACE:
        fix = (
            f"Say --namespace NAME, with one that is labelled {USE}=true, or apply "
            "deploy/rbac-own-namespaces.yaml."
        )
    return Finding(
        f"rights: {what}", False, f"missing: {listed}", fix, tuple(_rule(*rule) for rule in gathered)
    )


def _gathered(requests: Iterable[Request]) -> list[tuple[str, list[str], list[str]]]:
    """Group, verbs and resources: as few rules as it takes."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for request in requests:
        verbs.setdefault((request.kind.group, request.resource), []).append(request.verb)
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), some in verbs.items():
        found.setdefault((group, tuple(some)), []).append(resource)
    return [(group, list(some), resources) for (group, some), resources in found.items()]


def _rule(group: str, verbs: list[str], resources: list[str]) -> str:
    said = (json.dumps(part) for part in ([group], resources, verbs))
    return "- {{apiGroups: {}, resources: {}, verbs: {}}}".format(*said)


async def _home(api: Api, namespace: str) -> list[Finding]:
    """Whether the namespace that was named may be used."""
    if not namespace:
        return []
    try:
        found = await api.own(namespace)
    except ForbiddenError as e:
        return [Finding("namespace", None, f"{namespace}: whose it is isn't known: {e.message}")]
    if found is None:
        return [Finding("namespace", None, f"{namespace} isn't there: a run makes it, and deletes it")]
    labels = found["metadata"].get("labels") or {}
    if labels.get(USE) == "true":
        return [Finding("namespace", True, f"{namespace} may be used ({USE}=true)")]
    if ours(found):
        text = f"{namespace} is there, of the run {labels.get(RUN, '?')}"
        return [
            Finding("namespace", False, text, f"Remove it: whichpod k8s down --run {labels.get(RUN, '?')}")
        ]
    text = f"{namespace} is there, and whichpod didn't make it"
    fix = f"Let it be used: kubectl label namespace {namespace} {USE}=true"
    return [Finding("namespace", False, text, fix)]


def _network(facts: Facts) -> list[Finding]:
    return [
        Finding("kube-proxy", None, facts.proxy_mode or "its mode is not known"),
        Finding("network plug-in", None, facts.cni or "not known"),
    ]


def _mesh(facts: Facts) -> list[Finding]:
    found = []
    if facts.istio:
        text = f"Istio {facts.istio_version or '(version not known)'} with sidecars"
        text += f", revision {facts.revision}" if facts.revision else ""
        text += ", native ones" if facts.native_sidecars else ""
        text += ", by its CNI plug-in" if facts.istio_cni else ""
        found.append(Finding("mesh", True, text))
    if facts.ambient:
        found.append(Finding("mesh", None, "Istio's ambient mode: ztunnel balances connections, not RPCs"))
    if facts.linkerd:
        found.append(Finding("mesh", None, "Linkerd: its proxies balance RPCs; no row needs it"))
    if facts.cilium:
        found.append(Finding("mesh", None, "Cilium: it balances connections, unless its Envoy is told to"))
    for what, why in (
        ("rows with sidecars", lacks(facts, istio=True)),
        ("the row with xds:///", lacks(facts, istio=False, proxyless=True)),
    ):
        if why:
            found.append(Finding("skipped", None, f"{what}: {why}"))
    found.append(_gateway_api(facts))
    for what, why in (
        ("rows with GRPCRoutes", lacks(facts, istio=False, routes=True)),
        ("the row with a Gateway", lacks(facts, istio=False, gateway=True)),
    ):
        if why:
            found.append(Finding("skipped", None, f"{what}: {why}"))
    return found


def _gateway_api(facts: Facts) -> Finding:
    if not facts.gateway_api:
        return Finding("Gateway API", None, "GRPCRoute isn't served")
    classes = ", ".join(facts.gateway_classes)
    return Finding("Gateway API", True, f"GRPCRoute is served; gateways of the class {classes or '(none)'}")
