"""What a user says about runs in a cluster."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, replace

from whichpod.cluster.kubernetes.names import run_labels
from whichpod.manifest.meta import well_formed
from whichpod.model.errors import UsageError
from whichpod.version import __version__

PULL_POLICIES = ("", "Always", "IfNotPresent", "Never")
IMAGE = "WHICHPOD_IMAGE"
"""Variable: the image, where it isn't said."""
READY_S = 180.0
"""How long pods may take where nobody says: images have to be pulled first."""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def default_image() -> str:
    """The variable's, else this version's by its plain name, as loaded into a cluster of one's own."""
    return os.environ.get(IMAGE) or f"whichpod:{__version__}"


def new_run() -> str:
    """A name for a run that no other has."""
    return "".join(secrets.choice(_LETTERS) for _ in range(6))


@dataclass(frozen=True, slots=True)
class Settings:
    """How runs are made."""

    image: str
    """Whichpod's, as the cluster's nodes can pull it."""
    pull_policy: str = ""
    """Always, IfNotPresent, Never; empty: the cluster's choice."""
    namespace: str = ""
    """One to use; empty: a namespace of its own for every lab."""
    keep: bool = False
    """Leave everything in the cluster at the end."""
    run: str = ""
    """The run's name; empty: a new one."""
    gateway_class: str = ""
    """GatewayClass of rows that have a gateway; empty: the first that the cluster has."""

    def checked(self) -> Settings:
        """These, with a run. Raises UsageError for what Kubernetes would refuse."""
        if not self.image or any(c.isspace() for c in self.image):
            raise UsageError(f"{self.image!r} is no image.", fix="Give --image NAME[:TAG].")
        if self.pull_policy not in PULL_POLICIES:
            raise UsageError(
                f"There is no pull policy {self.pull_policy!r}.", fix="Always, IfNotPresent or Never."
            )
        run = self.run or new_run()
        run_labels(run)
        if self.gateway_class and not well_formed(self.gateway_class, "subdomain"):
            raise UsageError(f"{self.gateway_class!r} can't name a GatewayClass.")
        return replace(self, run=run)
