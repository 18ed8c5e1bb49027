"""The PTY gateway: a WebSocket at `/cs_abc123` is checked, then spliced to the session's sidecar byte for byte.

Its own process, and lean: no web framework. `handshake` parses and rewrites the opening, `server` checks and splices,
`frames` knows where a frame ends, so that a cut can be said properly.
"""
