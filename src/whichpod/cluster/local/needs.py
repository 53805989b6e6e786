"""What a bundle and its client need beside their pods, so that nothing else is started."""

from __future__ import annotations

import importlib.util
import sys

from whichpod.cluster.local import binaries
from whichpod.cluster.local.images import WHICHPOD, image_of
from whichpod.cluster.protocol import Client, Via
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Deployment, Service
from whichpod.manifest.placement import Locality
from whichpod.mesh.caller import Caller
from whichpod.model.errors import MissingExtraError, WhichpodError


def needs_kube_proxy(bundle: Bundle, client: Client) -> bool:
    """Whether something dials a ClusterIP: the client, or perhaps a proxy among the pods."""
    if client.via is Via.DNS and not client.meshed and not bundle.service(client.service).headless:
        return True
    if all(_echo(d) for d in bundle.deployments):
        return False
    return any(not s.headless and _has_echo_pods(bundle, s) for s in bundle.services)


def caller_of(client: Client) -> Caller:
    """What the control plane knows of a client."""
    return Caller(locality=Locality(*(*client.locality.split("/"), "", "")[:3]))


def missing(bundle: Bundle, client: Client, *, kernel_nat: bool = False) -> str | None:
    """Why the bundle can't run on this machine, with the way to get what is missing; None where it can.

    `kernel_nat`: whether ClusterIPs are the kernel's affair, so that no proxy has to stand in for it.

    What is wrong with the bundle itself is not told here: starting it says so.
    """
    if sys.platform != "linux":
        return "A loopback lab needs Linux: only there all of 127.0.0.0/8 can be used without set-up."
    try:
        binary = {image_of(c).binary for d in bundle.deployments for c in d.containers} - {""}
        stands_in = not kernel_nat and needs_kube_proxy(bundle, client)
        control_plane = stands_in or client.meshed or client.via is Via.XDS
        sidecars = any(bundle.injected(d) for d in bundle.deployments)
    except WhichpodError:
        return None
    if control_plane or sidecars:
        if not (importlib.util.find_spec("envoy") and importlib.util.find_spec("envoy.service")):
            return str(MissingExtraError("The control plane's xDS types", "lab"))
        if (client.meshed or sidecars) and not importlib.util.find_spec("cryptography"):
            return str(MissingExtraError("The certificates of sidecars", "lab"))
        if client.via is not Via.XDS or sidecars:
            binary.add("envoy")
    for name in sorted(binary):
        if why := binaries.missing(name):
            return why
    return None


def _echo(deployment: Deployment) -> bool:
    return any(image_of(c) is WHICHPOD for c in deployment.containers)


def _has_echo_pods(bundle: Bundle, service: Service) -> bool:
    return any(_echo(d) for d in bundle.behind(service))
