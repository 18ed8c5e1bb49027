"""The PTY sidecar: keeps the terminal's transcript, takes input, and shows both over HTTP and WebSocket.

A byte's way out: launcher -> `link` -> `spool` (crash-safe, numbered) -> `routes` and `attach` -> viewer.
A byte's way in: viewer -> `routes` or `attach` -> `journal` (crash-safe, exactly once) -> `link` -> launcher.
"""
