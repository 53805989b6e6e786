"""From the manifests of a request to a bundle."""

from __future__ import annotations

from collections.abc import Sequence

from whichpod.cluster.local.runs import with_runs
from whichpod.cluster.session.asked import Manifests
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.engines import served_by
from whichpod.manifest.load import load_texts
from whichpod.model.errors import UsageError


def read(asked: Manifests) -> Bundle:
    """What is to run. Raises ManifestError with file and line, UsageError."""
    bundle = load_texts(asked.texts, lenient=asked.lenient)
    bundle = with_runs(bundle, [(r.image, r.command, r.folder) for r in asked.runs])
    bundle = served_by(bundle, asked.engine)
    for name, replicas in asked.replicas.items():
        bundle = bundle.scaled(name or _only(bundle), replicas)
    return bundle


def _only(bundle: Bundle) -> str:
    names: Sequence[str] = [d.meta.name for d in bundle.deployments]
    if len(names) == 1:
        return names[0]
    raise UsageError(
        f"--pods means one workload, and the manifests have {len(names) or 'none'}.",
        fix=f"Say --pods NAME=NUMBER; there are: {', '.join(names)}." if names else "",
    )
