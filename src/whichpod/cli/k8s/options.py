"""Options that the commands of `whichpod k8s` share, and how they run."""

from __future__ import annotations

from typing import Annotated

import typer

from whichpod.cli.interrupts import until_told

Kubeconfig = Annotated[
    str, typer.Option(help="The kubeconfig [default: as for kubectl, else a pod's service account].")
]
Context = Annotated[str, typer.Option(help="Its context [default: the current one].")]
Image = Annotated[str, typer.Option(help="Whichpod's image, as the cluster's nodes can pull it.")]
PullPolicy = Annotated[
    str, typer.Option(help="Always, IfNotPresent or Never [default: the cluster's choice].")
]
ReadyTimeout = Annotated[str, typer.Option(help="How long pods may take to get ready.")]
Namespace = Annotated[
    str, typer.Option("--namespace", help="Namespace to work in [default: one of its own].")
]
GatewayClass = Annotated[
    str,
    typer.Option(help="GatewayClass of rows with a gateway [default: Istio's, else the first accepted one]."),
]
Keep = Annotated[bool, typer.Option("--keep", help="Leave everything in the cluster at the end.")]

__all__ = [
    "Context",
    "GatewayClass",
    "Image",
    "Keep",
    "Kubeconfig",
    "Namespace",
    "PullPolicy",
    "ReadyTimeout",
    "until_told",
]
