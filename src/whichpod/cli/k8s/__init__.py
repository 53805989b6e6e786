"""`whichpod k8s`: in the user's own cluster."""
