"""The REST API, and in `gateway` the WebSocket gateway, which is a process of its own.

A request's way: `app` (ids, problems) -> `auth` (who is it) -> `routes` (what is wanted) -> `caches` (what is so) or
`sidecar` (the terminal itself). Reads never wait for the Kubernetes API server.
"""
