"""Every process of a Kubernetes node, run by this program in one network namespace.

Needs root; no Docker and no image registry.
"""
