"""The web terminal's files: built by `web/`, read once at the start, kept in memory.

A session's own address, asked for by a browser, is the page. Its scripts and styles lie beside it under `cs_/`, which
whatever leads `/cs_...` here leads here too, and which no session id can be. They have hashed names and are kept for a
year; the page names them and is never kept. Neither says anything of a session: that takes a ticket (`exchange`).
"""

from __future__ import annotations

import gzip
import mimetypes
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from codesessions_api.gateway.answers import plain
from codesessions_api.gateway.handshake import Handshake, words
from codesessions_api.problems import Problem

ASSETS = "cs_"
NONCE = b"__NONCE__"
_ASSET = re.compile(r"(?:/.*)?/cs_/([A-Za-z0-9._-]{1,128})")
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE = {
    **_ALWAYS,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), "
    "clipboard-read=(self), clipboard-write=(self)",
}


def policy(nonce: str) -> str:
    """The page's Content-Security-Policy (CSP level 3). The nonce is for style sheets that xterm.js makes."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
        "img-src 'self' data:; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


@dataclass(frozen=True)
class Asset:
    """A file, and how it is compressed."""

    kind: str
    raw: bytes
    packed: bytes


class Pages:
    """What is served from a folder; from none, nothing."""

    def __init__(self, folder: Path | None) -> None:
        index = folder / "index.html" if folder is not None else None
        self._page = index.read_bytes() if index is not None and index.is_file() else None
        self._assets = {}
        if folder is not None and self._page is not None:
            self._assets = {each.name: _asset(each) for each in (folder / ASSETS).iterdir() if each.is_file()}

    def answer(self, request: Handshake, request_id: str) -> bytes | None:
        """The page or a file of it; None for another request. Raises Problem 404."""
        if self._page is None or request.method not in {"GET", "HEAD"} or request.wants_websocket:
            return None
        found = _ASSET.fullmatch(request.path)
        if found is None:
            wanted = request.session is not None and not request.path.endswith("/ws")
            if not wanted or "text/html" not in request.headers.get("accept", ""):
                return None
            nonce = secrets.token_urlsafe(16)
            body = self._page.replace(NONCE, nonce.encode())
            headers = {**_PAGE, "Content-Security-Policy": policy(nonce), "X-Request-Id": request_id}
            return _whole_or_head(request, plain(200, "text/html; charset=utf-8", body, headers))
        asset = self._assets.get(found[1])
        if asset is None:
            raise Problem(404, "not_found", f"There is no {request.path[:200]!r} here.")
        headers = {**_ALWAYS, "Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        accepted = {word.partition(";")[0].strip() for word in words(request.headers.get("accept-encoding", ""))}
        body = asset.raw
        if "gzip" in accepted and len(asset.packed) < len(asset.raw):
            body, headers["Content-Encoding"] = asset.packed, "gzip"
        return _whole_or_head(request, plain(200, asset.kind, body, {**headers, "X-Request-Id": request_id}))


def _asset(path: Path) -> Asset:
    raw = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(kind, raw, gzip.compress(raw, 9, mtime=0))


def _whole_or_head(request: Handshake, answer: bytes) -> bytes:
    """Without the body for HEAD (RFC 9110, section 9.3.2)."""
    return answer[: answer.index(b"\r\n\r\n") + 4] if request.method == "HEAD" else answer
