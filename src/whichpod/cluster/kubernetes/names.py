"""The marks by which whichpod knows what it made in a cluster, and names that Kubernetes takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from whichpod.manifest.meta import well_formed
from whichpod.model.errors import UsageError
from whichpod.version import __version__

MANAGED_BY = "app.kubernetes.io/managed-by"
"""Kubernetes, Recommended Labels."""
OWNER = "whichpod"
RUN = "whichpod.io/run"
"""Label: the run that an object belongs to."""
ROLE = "whichpod.io/role"
"""Label of pods that whichpod adds to a manifest's."""
CLIENT = "client"
CREATED_BY = "whichpod.io/created-by"
"""Annotation: the version that made it."""
INJECT = "sidecar.istio.io/inject"
REVISION = "istio.io/rev"
PROXY_CONFIG = "proxy.istio.io/config"
HOLD = "holdApplicationUntilProxyStarts: true"
"""Istio, ProxyConfig: containers start only once the sidecar is ready. Native sidecars do so anyway."""

MOST_NAME = 63
"""A Job's name is a label of its pods, and a label's value has 63 characters at most."""


def run_labels(run: str) -> dict[str, str]:
    """The labels of all that a run makes. Raises UsageError for a run that can't be a name in Kubernetes."""
    if not run or not well_formed(run, "label"):
        raise UsageError(
            f"{run!r} can't name a run.", fix=f"Use lower-case letters, digits and '-', {MOST_NAME} at most."
        )
    return {MANAGED_BY: OWNER, RUN: run}


def selector(run: str = "") -> str:
    """What selects a run's objects, or those of every run, in the API's terms."""
    return ",".join(f"{k}={v}" for k, v in ({MANAGED_BY: OWNER} | (run_labels(run) if run else {})).items())


def creator() -> dict[str, str]:
    """The annotation that says who made an object."""
    return {CREATED_BY: f"{OWNER} {__version__}"}


def ours(document: Mapping[str, object], run: str = "") -> bool:
    """Whether an object carries the owner's mark (of that run), so that it may be deleted."""
    metadata = document.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, Mapping) else None
    if not isinstance(labels, Mapping):
        return False
    return labels.get(MANAGED_BY) == OWNER and (not run or labels.get(RUN) == run)


def fitting(*parts: str, most: int = MOST_NAME) -> str:
    """A name made of several: what is no lower-case letter or digit becomes '-', and one that is too long
    ends with a checksum instead, so that two of them stay different."""
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-") or OWNER
    if len(name) <= most:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: most - 9].rstrip('-')}-{digest}"
