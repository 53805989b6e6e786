"""What can only be seen when all objects are there: duplicates, dangling names, rules that meet nothing."""

from __future__ import annotations

from collections.abc import Iterator

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.fields import Findings
from whichpod.manifest.hosts import full_host, matches
from whichpod.manifest.kinds import Deployment, Meta, Service, ServicePort, Where
from whichpod.manifest.placement import candidates, nodes
from whichpod.manifest.routing import RouteDestination, VirtualService
from whichpod.manifest.traffic import DestinationRule, PeerAuthentication, Simple


def check(bundle: Bundle, findings: Findings) -> None:
    """Records what is wrong between the objects of a bundle."""
    _duplicates(bundle, findings)
    for service in bundle.services:
        _service(bundle, service, findings)
    for d in bundle.deployments:
        _workload(bundle, d, findings)
    for rule in bundle.destination_rules:
        _rule(bundle, rule, findings)
    for virtual in bundle.virtual_services:
        _virtual(bundle, virtual, findings)
    for policy in bundle.peer_authentications:
        _peers(bundle, policy, findings)


def _objects(bundle: Bundle) -> Iterator[tuple[str, Meta, Where]]:
    for d in bundle.deployments:
        yield d.kind, d.meta, d.where
    for s in bundle.services:
        yield "Service", s.meta, s.where
    for c in bundle.config_maps:
        yield "ConfigMap", c.meta, c.where
    for secret in bundle.secrets:
        yield "Secret", secret.meta, secret.where
    for n in bundle.namespaces:
        yield "Namespace", n.meta, n.where
    for node in bundle.nodes:
        yield "Node", node.meta, node.where
    for r in bundle.destination_rules:
        yield "DestinationRule", r.meta, r.where
    for v in bundle.virtual_services:
        if not v.gateway_api:
            yield "VirtualService", v.meta, v.where
    for g in bundle.grpc_routes:
        yield "GRPCRoute", g.meta, g.where
    for p in bundle.peer_authentications:
        yield "PeerAuthentication", p.meta, p.where


def _duplicates(bundle: Bundle, findings: Findings) -> None:
    first: dict[tuple[str, str, str], Where] = {}
    for kind, meta, where in _objects(bundle):
        key = (kind, meta.namespace, meta.name)
        if meta.name and key in first:
            findings.fail(
                where,
                f"{kind} {meta.name}: stands twice in namespace {meta.namespace} (first at {first[key]}).",
            )
        first.setdefault(key, where)


def _workload(bundle: Bundle, d: Deployment, findings: Findings) -> None:
    subject = f"{d.kind} {d.meta.name}"
    for v in d.volumes:
        for source in v.sources:
            if source.kind == "DownwardAPI" or source.optional:
                continue
            if not bundle.held(source.kind, source.name, d.meta.namespace):
                problem = f"there is no {source.kind} {source.name!r} for its volume {v.name!r}."
                findings.unsupported(d.where, f"{subject}: {problem}", instead="The volume lacks its files.")
    named = [
        s for s in bundle.services if (s.meta.name, s.meta.namespace) == (d.service_name, d.meta.namespace)
    ]
    if d.service_name and not any(s.headless for s in named):
        findings.note(
            d.where, f"{subject}: {d.service_name!r} is no headless Service, so its pods have no DNS names."
        )
    if not candidates(bundle, d):
        findings.note(d.where, f"{subject}: its nodeSelector matches no node of the lab, and has no effect.")
    elif d.node_name and d.node_name not in nodes(bundle):
        findings.note(d.where, f"{subject}: there is no Node {d.node_name!r}; its zone is not known.")
    for other in bundle.deployments:
        if other is d:
            break
        if (other.meta.name, other.meta.namespace) == (
            d.meta.name,
            d.meta.namespace,
        ) and other.kind != d.kind:
            findings.fail(
                d.where, f"{subject}: {other.kind} {d.meta.name} has that name too ({other.where})."
            )


def _service(bundle: Bundle, service: Service, findings: Findings) -> None:
    behind = bundle.behind(service)
    subject = f"Service {service.meta.name}"
    if not service.selector:
        findings.note(service.where, f"{subject}: has no selector, so it has no endpoints in the lab.")
    elif not behind:
        findings.note(service.where, f"{subject}: its selector matches no pods of these manifests.")
    for port in service.ports:
        _target(subject, port, [d.ports() for d in behind], findings)


def _target(subject: str, port: ServicePort, behind: list[dict[str, int]], findings: Findings) -> None:
    name = port.target_port
    if isinstance(name, str) and behind and not any(name in names for names in behind):
        findings.fail(
            port.where,
            f"{subject}: targetPort {name!r} is no port of the containers behind it.",
            fix="Name a container port so, or give the number.",
        )


def _rule(bundle: Bundle, rule: DestinationRule, findings: Findings) -> None:
    subject = f"DestinationRule {rule.meta.name}"
    services = _meant(bundle, rule.host, rule.meta.namespace)
    if not services:
        findings.note(rule.where, f"{subject}: {_nowhere(rule.host)}")
    balanced = any(
        p
        and p.load_balancer
        and (p.load_balancer.simple is not Simple.UNSPECIFIED or p.load_balancer.consistent_hash)
        for p in (rule.policy, *(s.policy for s in rule.subsets))
    )
    for service in services:
        if service.headless and balanced:
            findings.note(
                rule.where,
                f"{subject}: its loadBalancer is ignored, since {service.meta.name} is headless: a sidecar "
                "passes each connection on to the pod that the client has chosen.",
            )
    _failover(rule, findings)
    for subset in rule.subsets:
        wanted = subset.labels.items()
        pods = [labels for s in services for d in bundle.behind(s) for labels in d.labels()]
        if pods and not any(all(have.get(k) == v for k, v in wanted) for have in pods):
            findings.note(
                subset.where,
                f"{subject}: the subset {subset.name} matches no pod's labels, so it has no endpoints.",
            )


def _failover(rule: DestinationRule, findings: Findings) -> None:
    """Priorities without outlier detection are a mistake that Istio passes over in silence."""
    policies = [p for p in (rule.policy, *(s.policy for s in rule.subsets)) if p]
    policies += [own for p in policies for _, own in p.ports]
    if any(p.outlier_detection for p in policies):
        return
    for lb in (p.load_balancer for p in policies):
        if lb and lb.locality and (lb.locality.failover or lb.locality.failover_priority):
            findings.note(
                lb.where,
                f"DestinationRule {rule.meta.name}: failover has no effect without outlierDetection, which "
                "tells that pods have failed.",
            )


def _peers(bundle: Bundle, policy: PeerAuthentication, findings: Findings) -> None:
    wanted = policy.selector.items()
    pods = [d.pod_labels for d in bundle.deployments if d.meta.namespace == policy.meta.namespace]
    if wanted and pods and not any(all(have.get(k) == v for k, v in wanted) for have in pods):
        findings.note(
            policy.where, f"PeerAuthentication {policy.meta.name}: its selector matches no pod's labels."
        )


def _virtual(bundle: Bundle, virtual: VirtualService, findings: Findings) -> None:
    subject = _subject(virtual)
    for host in virtual.hosts:
        services = _meant(bundle, host, virtual.meta.namespace)
        if not services:
            findings.note(virtual.where, f"{subject}: {_nowhere(host)}")
        for other in bundle.virtual_services if virtual.gateway_api else ():
            if not other.gateway_api and _means(other, services):
                said = f"{_subject(other)} is for {services[0].meta.name} too; a caller obeys one of them."
                findings.note(virtual.where, f"{subject}: {said}")
    for route in virtual.routes:
        for to in route.destinations:
            _destination(bundle, virtual, to, findings)
        for mirror in route.mirrors:
            if not _meant(bundle, mirror.to.host, virtual.meta.namespace):
                findings.note(mirror.to.where, f"{subject}: {_nowhere(mirror.to.host)} Nothing is mirrored.")


def _means(virtual: VirtualService, services: list[Service]) -> bool:
    hosts = [full_host(h, virtual.meta.namespace) for h in virtual.hosts]
    return any(matches(h, s.host) for h in hosts for s in services)


def _subject(virtual: VirtualService) -> str:
    name = virtual.meta.name
    return f"GRPCRoute {name.partition('~')[0]}" if virtual.gateway_api else f"VirtualService {name}"


def _destination(bundle: Bundle, virtual: VirtualService, to: RouteDestination, findings: Findings) -> None:
    subject = _subject(virtual)
    services = _meant(bundle, to.host, virtual.meta.namespace)
    if not services:
        findings.note(to.where, f"{subject}: {_nowhere(to.host)} RPCs on this route fail with UNAVAILABLE.")
        return
    if to.subset and not any(
        s.name == to.subset and matches(full_host(r.host, r.meta.namespace), services[0].host)
        for r in bundle.destination_rules
        for s in r.subsets
    ):
        findings.note(
            to.where,
            f"{subject}: no DestinationRule gives {to.host} a subset {to.subset!r}: RPCs on this route fail "
            "with UNAVAILABLE.",
        )


def _meant(bundle: Bundle, host: str, namespace: str) -> list[Service]:
    full = full_host(host, namespace)
    return [s for s in bundle.services if matches(full, s.host)]


def _nowhere(host: str) -> str:
    hint = " Istio takes a name with a dot in it as complete." if host.count(".") in (1, 2) else ""
    return f"the host {host!r} is no Service of these manifests.{hint}"
