"""Access to the Kubernetes API server: one small client with dict bodies, and a cache that a watch keeps fresh."""
