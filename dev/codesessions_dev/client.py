"""A small REST client for the demo, on the standard library alone, so that what goes over the wire is plain to see."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from codesessions_dev.envfile import Access
from codesessions_dev.say import DevError

BASE = "/api/v1/code-sessions"


class Client:
    """Speaks to `/api/v1/code-sessions` with the key of `.dev/env`."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._tls = ssl.create_default_context(cafile=str(access.ca))

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        prefer: str | None = None,
        timeout: float = 90,
        more: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """Send one request; returns status and JSON body (`{}` if there is none). Raises DevError if nobody answers."""
        headers = {"X-API-Key": self._access.api_key, "Accept": "application/json", **(more or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if prefer:
            headers["Prefer"] = prefer
        request = urllib.request.Request(self._access.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=timeout) as response:
                text = response.read()
                return response.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, {"detail": text.decode(errors="replace")}
        except OSError as error:
            raise DevError(f"{method} {self._access.url}{path}: {error}") from error

    def must(self, method: str, path: str, body: object = None, *, prefer: str | None = None) -> dict[str, Any]:
        """As `call`, but anything other than 2xx raises DevError with the problem's text."""
        status, answer = self.call(method, path, body, prefer=prefer)
        if not 200 <= status < 300:
            raise DevError(f"{method} {path} answered {status}: {json.dumps(answer)}")
        return answer

    def text(self, path: str, *, timeout: float = 90) -> str:
        """A body that is text. Raises DevError."""
        request = urllib.request.Request(self._access.url + path, headers={"X-API-Key": self._access.api_key})
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=timeout) as response:
                return str(response.read().decode(errors="replace"))
        except OSError as error:
            raise DevError(f"GET {self._access.url}{path}: {error}") from error
