"""The kernel's rules of a node and of a pod, as text. Pure functions."""
