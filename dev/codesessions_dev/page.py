"""Fetches pages of applications by host name, at the cluster's ingress on this machine.

`*.localhost` is loopback for browsers and curl; Python asks the system, which may not know, so the address is given.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

from codesessions_dev.envfile import Access


class Pages:
    """Speaks TLS to 127.0.0.1 and asks for the host of a URL."""

    def __init__(self, access: Access, *, timeout: float = 10) -> None:
        self._tls = ssl.create_default_context(cafile=str(access.ca))
        self._timeout = timeout

    def connect(self, url: str) -> http.client.HTTPSConnection:
        """A connection that can be used again. Raises OSError."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        plain = socket.create_connection(("127.0.0.1", port), timeout=self._timeout)
        connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
        connection.sock = self._tls.wrap_socket(plain, server_hostname=host)
        return connection

    def get(self, url: str) -> tuple[int, str]:
        """Status and body. Raises OSError or http.client.HTTPException."""
        connection = self.connect(url)
        try:
            connection.request("GET", urlsplit(url).path or "/")
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()
