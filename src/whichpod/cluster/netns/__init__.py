"""The namespace cluster: a node and pods that are network namespaces, with the kernel's own NAT."""
