"""What of whichpod will work in a cluster, what won't, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from whichpod.cluster.kubernetes.api import Api
from whichpod.cluster.kubernetes.errors import Request
from whichpod.cluster.kubernetes.facts import Facts, gather, lacks
from whichpod.cluster.kubernetes.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    EVENT,
    JOB,
    NAMESPACE,
    POD,
    SERVICE,
    Kind,
)

AT_ONCE = 8
"""Questions at a time."""
OLDEST, NEWEST = (1, 29), (1, 37)
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
    "rows with Istio": ((DESTINATION_RULE, "", _MAKE),),
    "port-forward": ((POD, "portforward", ("get", "create")),),
    "watch and bench": ((POD, "proxy", ("get",)), (ENDPOINT_SLICE, "", ("list", "watch"))),
}
"""What needs which verbs, in the namespace of a run; deploy/rbac.yaml grants them."""
_OWN = ((NAMESPACE, "", ("create", "delete", "get", "list")),)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool | None
    """None: neither good nor bad, or not known."""
    text: str
    fix: str = ""


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
        if what == "rows with Istio" and not facts.istio:
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
    listed = ", ".join(f"{r.verb} {r.resource}" for r in denied)
    fix = "kubectl apply -f deploy/rbac.yaml grants what runs need"
    if denied[0].kind is NAMESPACE:
        fix = (
            "Say --namespace NAME, with one that is labelled whichpod.io/use=true, or apply "
            "deploy/rbac-own-namespaces.yaml"
        )
    return Finding(f"rights: {what}", False, f"missing: {listed}", f"{fix}. The first: {denied[0].rule}")


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
    found.append(
        Finding("Gateway API", None, "GRPCRoute is served" if facts.gateway_api else "GRPCRoute isn't served")
    )
    return found
