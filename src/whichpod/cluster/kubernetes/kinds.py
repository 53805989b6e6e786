"""The kinds of objects that whichpod makes or reads, and where the API has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from whichpod.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource of the API."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects write it: v1, apps/v1."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Where the version's resources are."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def title(self) -> str:
        """As kubectl and RBAC's messages name it: pods, deployments.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL's path of the collection, or of an object; without a namespace, that of all of them."""
        parts = [self.root]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=":"))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def of_version(self, version: str) -> Kind:
        """The same resource in another version of its group."""
        return Kind(self.group, version, self.kind, self.plural, self.namespaced)


NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
NODE = Kind("", "v1", "Node", "nodes", namespaced=False)
POD = Kind("", "v1", "Pod", "pods")
SERVICE = Kind("", "v1", "Service", "services")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("", "v1", "Event", "events")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets")
DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets")
JOB = Kind("batch", "v1", "Job", "jobs")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
DESTINATION_RULE = Kind("networking.istio.io", "v1", "DestinationRule", "destinationrules")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1", "VirtualService", "virtualservices")
PEER_AUTHENTICATION = Kind("security.istio.io", "v1", "PeerAuthentication", "peerauthentications")
GATEWAY_CLASS = Kind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", namespaced=False)
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GRPC_ROUTE = Kind("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes")
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
ACCESS_REVIEW = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)

MADE = (
    NAMESPACE,
    SERVICE_ACCOUNT,
    SECRET,
    CONFIG_MAP,
    SERVICE,
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    PEER_AUTHENTICATION,
    GATEWAY,
    GRPC_ROUTE,
    POD_DISRUPTION_BUDGET,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    DAEMON_SET,
    POD,
    JOB,
)
"""All that a run may make."""
WORKLOADS = {kind.kind: kind for kind in (DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET, POD)}
"""What servers run as, by kind."""
_BY_NAME = {(kind.group, kind.kind): kind for kind in (*MADE, ROLE, ROLE_BINDING)}


def kind_of(document: Mapping[str, object]) -> Kind:
    """The kind of an object, in the version that it names. Raises UsageError for one that no run makes."""
    group, _, version = str(document.get("apiVersion", "")).rpartition("/")
    name = str(document.get("kind", ""))
    known = _BY_NAME.get((group, name))
    if known is None:
        raise UsageError(
            f"{document.get('apiVersion')} {name} is not a kind that whichpod applies.",
            fix=f"It knows {', '.join(sorted({kind.kind for kind in _BY_NAME.values()}))}.",
        )
    return known.of_version(version)
