"""The PTY gateway: a WebSocket at `/cs_abc123` is checked, then spliced to the session's sidecar byte for byte.

Its own process, and lean: no web framework. A connection's way: `handshake` parses the opening, `admission` says who
may do what at which terminal, `upstream` opens it, `splice` moves bytes, with `frames` to know where one ends, so that
a cut can be said properly. `answers` are refusals, `server` has the connections. A browser gets the web terminal:
`pages` are its files, `exchange` is its way to a ticket.

Refusals. A client that sends no Origin is a program: it gets 401, 403, 404 and 503 as HTTP problems. One that does is a
browser, which cannot read a status: its WebSocket is accepted and closed at once with 4401, 4403, 4404 or 1013. A
session that does not run (4409) or cannot be reached (1013) is a close code for everybody: the request was right.
"""
