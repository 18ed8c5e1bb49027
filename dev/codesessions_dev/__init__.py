"""A real one-node Kubernetes on a bare Linux machine, and the demo that runs on it.

Read in this order: `cli` (the sub-commands), `provider` (what a cluster must be able to do), then `local/` (every
process of a cluster, in one network namespace) or `kind` (the same by Docker).
"""
