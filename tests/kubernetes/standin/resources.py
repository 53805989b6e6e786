"""What the stand-in serves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    namespaced: bool = True

    def api_version(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version


CORE = tuple(
    Resource("", ("v1",), kind, plural, namespaced)
    for kind, plural, namespaced in (
        ("Namespace", "namespaces", False),
        ("Node", "nodes", False),
        ("Pod", "pods", True),
        ("Service", "services", True),
        ("ConfigMap", "configmaps", True),
        ("Secret", "secrets", True),
        ("ServiceAccount", "serviceaccounts", True),
        ("Event", "events", True),
        ("ResourceQuota", "resourcequotas", True),
    )
)
BUILT_IN = (
    *CORE,
    Resource("apps", ("v1",), "Deployment", "deployments"),
    Resource("apps", ("v1",), "ReplicaSet", "replicasets"),
    Resource("apps", ("v1",), "StatefulSet", "statefulsets"),
    Resource("apps", ("v1",), "DaemonSet", "daemonsets"),
    Resource("batch", ("v1",), "Job", "jobs"),
    Resource("discovery.k8s.io", ("v1",), "EndpointSlice", "endpointslices"),
    Resource("policy", ("v1",), "PodDisruptionBudget", "poddisruptionbudgets"),
    Resource("rbac.authorization.k8s.io", ("v1",), "Role", "roles"),
    Resource("rbac.authorization.k8s.io", ("v1",), "RoleBinding", "rolebindings"),
    Resource("coordination.k8s.io", ("v1",), "Lease", "leases"),
    Resource("apiextensions.k8s.io", ("v1",), "CustomResourceDefinition", "customresourcedefinitions", False),
    Resource(
        "admissionregistration.k8s.io",
        ("v1",),
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        False,
    ),
)
REVIEW = Resource(
    "authorization.k8s.io", ("v1",), "SelfSubjectAccessReview", "selfsubjectaccessreviews", False
)
_NETWORKING = "networking.istio.io", ("v1", "v1beta1", "v1alpha3")
ISTIO = (
    Resource(*_NETWORKING, "DestinationRule", "destinationrules"),
    Resource(*_NETWORKING, "VirtualService", "virtualservices"),
    Resource(*_NETWORKING, "ServiceEntry", "serviceentries"),
    Resource("security.istio.io", ("v1", "v1beta1"), "PeerAuthentication", "peerauthentications"),
    Resource("security.istio.io", ("v1", "v1beta1"), "AuthorizationPolicy", "authorizationpolicies"),
)
GATEWAY = (
    Resource("gateway.networking.k8s.io", ("v1",), "GatewayClass", "gatewayclasses", False),
    Resource("gateway.networking.k8s.io", ("v1",), "Gateway", "gateways"),
    Resource("gateway.networking.k8s.io", ("v1",), "GRPCRoute", "grpcroutes"),
)
