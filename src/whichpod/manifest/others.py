"""Kinds that users' folders hold and that no lab acts on, and what is said of them.

What changes nothing about who answers is noted; what would change it is refused, unless the load is lenient.
"""

from __future__ import annotations

NO_EFFECT = "has no effect in the lab."
_GATEWAY = "has no effect: the lab has no gateway, only the mesh."
_INGRESS = "has no effect: nothing comes into the lab from outside."
_NOT_RUN = "is not run in the lab."
_CORE, _RBAC, _ISTIO = "", "rbac.authorization.k8s.io", "networking.istio.io"
_API = "gateway.networking.k8s.io"

NOTED: dict[tuple[str, str], str] = {
    (_CORE, "ServiceAccount"): "",
    ("policy", "PodDisruptionBudget"): NO_EFFECT,
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
    ): "has no effect in the lab: replicas stay as they are written.",
    ("autoscaling.k8s.io", "VerticalPodAutoscaler"): NO_EFFECT,
    ("keda.sh", "ScaledObject"): "has no effect in the lab: replicas stay as they are written.",
    (_RBAC, "Role"): NO_EFFECT,
    (_RBAC, "RoleBinding"): NO_EFFECT,
    (_RBAC, "ClusterRole"): NO_EFFECT,
    (_RBAC, "ClusterRoleBinding"): NO_EFFECT,
    ("networking.k8s.io", "NetworkPolicy"): "is not enforced in the lab.",
    ("networking.k8s.io", "Ingress"): _INGRESS,
    ("networking.k8s.io", "IngressClass"): _INGRESS,
    ("batch", "Job"): _NOT_RUN,
    ("batch", "CronJob"): _NOT_RUN,
    (_CORE, "PersistentVolumeClaim"): NO_EFFECT,
    (_CORE, "PersistentVolume"): NO_EFFECT,
    (_CORE, "ResourceQuota"): NO_EFFECT,
    (_CORE, "LimitRange"): NO_EFFECT,
    (_CORE, "Event"): NO_EFFECT,
    ("events.k8s.io", "Event"): NO_EFFECT,
    ("apps", "ControllerRevision"): NO_EFFECT,
    ("storage.k8s.io", "StorageClass"): NO_EFFECT,
    ("scheduling.k8s.io", "PriorityClass"): NO_EFFECT,
    ("coordination.k8s.io", "Lease"): NO_EFFECT,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): NO_EFFECT,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): NO_EFFECT,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): NO_EFFECT,
    (_ISTIO, "Gateway"): _GATEWAY,
    (_ISTIO, "Sidecar"): "is left out: every sidecar of the lab knows every Service.",
    (_ISTIO, "ProxyConfig"): NO_EFFECT,
    ("telemetry.istio.io", "Telemetry"): NO_EFFECT,
    (_API, "Gateway"): _GATEWAY,
    (_API, "GatewayClass"): _GATEWAY,
    (_API, "ReferenceGrant"): _GATEWAY,
}
NOTED_GROUPS = ("monitoring.coreos.com", "cert-manager.io", "metrics.k8s.io", "node.k8s.io")
"""Groups of which no kind has an effect."""
REFUSED: dict[tuple[str, str], str] = {
    (_CORE, "Endpoints"): "gives a Service addresses outside of the lab.",
    ("discovery.k8s.io", "EndpointSlice"): "gives a Service addresses outside of the lab.",
    (_ISTIO, "ServiceEntry"): "gives the mesh hosts outside of the lab.",
    (_ISTIO, "WorkloadEntry"): "gives the mesh hosts outside of the lab.",
    (_ISTIO, "WorkloadGroup"): "gives the mesh hosts outside of the lab.",
    (_ISTIO, "EnvoyFilter"): "changes Envoy's configuration past Istio's, which is not supported.",
    ("extensions.istio.io", "WasmPlugin"): "runs in the sidecar, which is not supported.",
    ("security.istio.io", "AuthorizationPolicy"): "may refuse RPCs, which is not supported.",
    ("security.istio.io", "RequestAuthentication"): "may refuse RPCs, which is not supported.",
    (_API, "HTTPRoute"): "is not supported; a GRPCRoute is.",
    ("kustomize.config.k8s.io", "Kustomization"): "is no object of a cluster.",
}
OWNED = ("ReplicaSet", "Pod", "EndpointSlice", "Endpoints", "ControllerRevision", "Job")
"""Kinds that a controller makes, so that they come with YAML that was taken from a cluster."""
FIXES = {"Kustomization": "Give the folder that it is in."}
