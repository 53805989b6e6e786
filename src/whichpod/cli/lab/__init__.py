"""`whichpod lab`: pods, Services and a mesh on this machine, from the user's own YAML, that stay."""

from __future__ import annotations

from whichpod.cli.group import Group

COMMANDS = {
    "up": "Start what manifests ask for, and stay.",
    "apply": "Have other manifests hold.",
    "status": "Show pods, Services, endpoints, what sidecars do, and what happened last.",
    "events": "Show what happened, and what happens.",
    "logs": "Show what a pod has written.",
    "probe": "Send RPCs to a Service and tell which pods answered, and whether that is even.",
    "bench": "Load a Service and report each pod's share, rate, errors and latencies.",
    "exec": "Run a command where a pod or a client stands.",
    "port-forward": "Lead a port of this machine into a pod.",
    "config": "Show what a sidecar got.",
    "stats": "Show a sidecar's counters beside what the last probe counted.",
    "scale": "Change the number of a workload's pods.",
    "restart": "Replace a workload's pods, a few at a time.",
    "delete": "End a pod in order; another one takes its place.",
    "kill": "Send a signal to a pod's processes.",
    "delay": "Make echo pods slow.",
    "fail": "Make echo pods fail.",
    "heal": "Make pods well again.",
    "control-plane": "Stop or start what configures sidecars.",
    "dns": "Stop or start the cluster's DNS.",
    "list": "List the labs that are up.",
    "down": "End a lab.",
}

_ABOUT = """\
Pods, Services and a mesh on this machine, from your own YAML. A lab stays until it
is told to end; the other commands act on it from other terminals.
"""
_EXAMPLES = """\
  whichpod lab up -f manifests/
  whichpod lab up istio -d
  whichpod lab up -f shop.yaml --run 'shop=./server --listen {ip}:{port}'
  whichpod lab probe echo --meshed --expect even
  whichpod lab kill echo-1
  whichpod lab status
  whichpod lab down
"""

main = Group("lab", _ABOUT, COMMANDS, _EXAMPLES).main
