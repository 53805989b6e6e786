"""`whichpod k8s`: in the user's own cluster."""

from __future__ import annotations

from whichpod.cli.group import Group

COMMANDS = {
    "doctor": "Look at the cluster: access, versions, missing rights, mesh, and what will be skipped.",
    "manifests": "Print a row's YAML, for kubectl.",
    "up": "Put a row's set-up into the cluster, and leave it there.",
    "test": "Run the guide's tests: without Istio, with it, with balancing in the client.",
    "install-istio": "Install Istio with istioctl, after showing what that will do.",
    "probe": "Probe any Service from inside the cluster, and the mesh.",
    "port-forward-check": "Show what comes in by port-forward beside what comes from inside.",
    "watch": "Tell how a Service's own traffic is spread, without sending any.",
    "bench": "Load a Service from many pods at once.",
    "down": "Remove what runs left in the cluster.",
}

_ABOUT = """\
In your own cluster, by your kubeconfig. What a run makes carries its labels, lives
in a namespace of its own, and is removed at the end.
"""
_EXAMPLES = """\
  whichpod k8s doctor
  whichpod matrix --cluster kubernetes --image registry.example/whichpod:1
  whichpod k8s probe echo -n shop --expect even
  whichpod k8s watch echo -n shop --for 1m
  whichpod k8s bench echo -n shop --workers 4 --duration 30s
"""

main = Group("k8s", _ABOUT, COMMANDS, _EXAMPLES).main
