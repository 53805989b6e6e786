"""Files that a kubelet writes for a pod."""

from __future__ import annotations

DOMAIN = "cluster.local"


def resolv_conf(namespace: str, server: str, domain: str = DOMAIN) -> str:
    """/etc/resolv.conf of a pod with dnsPolicy ClusterFirst (kubernetes.io, "DNS for Services and Pods")."""
    return f"search {namespace}.svc.{domain} svc.{domain} {domain}\nnameserver {server}\noptions ndots:5\n"


def hosts(pod: str, address: str) -> str:
    """/etc/hosts of a pod (kubelet's managedHostsFileContent), for IPv4."""
    return f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{address}\t{pod}\n"
