"""The REST API, and in `gateway` the WebSocket gateway, which is a process of its own.

A request's way: `edge` (id, count, last resort) -> `app` (problems) -> `session_routes`, `terminal_routes` (what is
wanted) -> `auth` (who is it) -> `service` (sessions, from the `caches`) or `sidecar` (the terminal itself).
Reads never wait for the Kubernetes API server.
"""
