"""The user's own Kubernetes cluster."""
