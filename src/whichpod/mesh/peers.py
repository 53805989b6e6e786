"""Whether a pod's sidecar takes mutual TLS, plain text or both: PeerAuthentication as istiod composes it.

Source: Istio, pilot/pkg/security/authn/policy_applier.go (ComposePeerAuthentication) and
pilot/pkg/model/authentication.go. Of several policies with the same reach the oldest holds; here that is the
first in the manifests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from whichpod.manifest.bundle import ROOT_NAMESPACE, Bundle
from whichpod.manifest.traffic import MutualTls, PeerAuthentication
from whichpod.mesh.registry import Endpoint

Mode = Literal["DISABLE", "PERMISSIVE", "STRICT"]


def mode_for(bundle: Bundle, pod: Endpoint, port: int) -> Mode:
    """The mode of a pod's port (the application's). A port that a policy leaves UNSET has the pod's mode."""
    own = _own(bundle, pod)
    wider = namespace_mode(bundle, pod.namespace)
    if own is None:
        return wider
    return _first((dict(own.ports).get(port, "UNSET"), own.mode), wider)


def ports_with_a_mode(bundle: Bundle, pod: Endpoint) -> tuple[int, ...]:
    """The ports that the pod's policy names."""
    own = _own(bundle, pod)
    return tuple(port for port, _ in own.ports) if own else ()


def namespace_mode(bundle: Bundle, namespace: str) -> Mode:
    """The mode of a namespace's pods that no policy selects."""
    return _first((_of_all(bundle, namespace), _of_all(bundle, ROOT_NAMESPACE)), "PERMISSIVE")


def _first(modes: Iterable[MutualTls], default: Mode) -> Mode:
    return next((m for m in modes if m != "UNSET"), default)


def _own(bundle: Bundle, pod: Endpoint) -> PeerAuthentication | None:
    """The policy that selects the pod. Those of the root namespace select none."""
    if pod.namespace == ROOT_NAMESPACE:
        return None
    for policy in _in(bundle, pod.namespace):
        if policy.selector and all(pod.labels.get(k) == v for k, v in policy.selector.items()):
            return policy
    return None


def _of_all(bundle: Bundle, namespace: str) -> MutualTls:
    return next((p.mode for p in _in(bundle, namespace) if not p.selector), "UNSET")


def _in(bundle: Bundle, namespace: str) -> Iterator[PeerAuthentication]:
    return (p for p in bundle.peer_authentications if p.meta.namespace == namespace)
