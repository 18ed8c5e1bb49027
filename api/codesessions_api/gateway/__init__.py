"""The PTY gateway: a WebSocket at `/cs_abc123` is checked, then spliced to the session's sidecar byte for byte.

Its own process, and lean: no web framework. `server` reads a handshake and answers it, `upstream` opens the sidecar's side,
`splice` moves bytes until one side ends, `frames` knows where a frame ends, so that a cut can be said properly.
"""
