"""The web terminal's files as the gateway serves them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from codesessions_api.gateway.handshake import Handshake
from codesessions_api.gateway.pages import Pages
from codesessions_api.problems import Problem

BROWSER = {"host": "pty.example.com", "accept": "text/html,application/xhtml+xml", "accept-encoding": "gzip, br"}
SCRIPT = b"let terminal;" * 100


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    (tmp_path / "index.html").write_text('<meta name="csp-nonce" content="__NONCE__" />')
    (tmp_path / "cs_").mkdir()
    (tmp_path / "cs_" / "index-abc.js").write_bytes(SCRIPT)
    (tmp_path / "secret").write_text("not to be served")
    return Pages(tmp_path)


def ask(pages: Pages, path: str, method: str = "GET", **headers: str) -> tuple[dict[str, str], bytes] | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = pages.answer(Handshake(method, path, "", {**BROWSER, **named}), "r1")
    if answer is None:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}, body


@pytest.mark.parametrize("path", ["/cs_abc123", "/below/a/prefix/cs_abc123"])
def test_a_session_s_address_is_the_page_which_is_never_kept(pages: Pages, path: str) -> None:
    found = ask(pages, path)
    assert found is not None
    headers, body = found
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body)


def test_the_policy_lets_in_nothing_inline_but_style_sheets_with_a_nonce_of_this_one_answer(pages: Pages) -> None:
    nonces = set()
    for _ in range(2):
        found = ask(pages, "/cs_abc123")
        assert found is not None
        headers, body = found
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        nonce = re.search(r"style-src 'self' 'nonce-([\w-]{20,})'", policy)
        assert nonce is not None
        assert nonce[1].encode() in body
        nonces.add(nonce[1])
    assert len(nonces) == 2


@pytest.mark.parametrize("path", ["/cs_/index-abc.js", "/below/a/prefix/cs_/index-abc.js"])
def test_files_have_hashed_names_and_are_kept(pages: Pages, path: str) -> None:
    found = ask(pages, path)
    assert found is not None
    headers, body = found
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-type"].startswith("text/javascript")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == SCRIPT


def test_who_does_not_take_gzip_gets_none(pages: Pages) -> None:
    found = ask(pages, "/cs_/index-abc.js", accept_encoding="br")
    assert found is not None
    assert "content-encoding" not in found[0]
    assert found[1] == SCRIPT


def test_head_has_no_body(pages: Pages) -> None:
    found = ask(pages, "/cs_/index-abc.js", "HEAD")
    assert found is not None
    assert found[1] == b""


@pytest.mark.parametrize("name", ["nothing.js", "..", "secret"])
def test_there_is_nothing_else(pages: Pages, name: str) -> None:
    with pytest.raises(Problem) as caught:
        ask(pages, f"/cs_/{name}")
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/cs_abc123", "GET", {"accept": "*/*"}),
        ("/cs_abc123/ws", "GET", {}),
        ("/cs_abc123", "POST", {}),
        ("/cs_abc123", "GET", {"upgrade": "websocket", "connection": "Upgrade"}),
        ("/other", "GET", {}),
        ("/cs_/../secret", "GET", {}),
    ],
)
def test_programs_and_websockets_are_not_for_the_pages(
    pages: Pages, path: str, method: str, headers: dict[str, str]
) -> None:
    assert ask(pages, path, method, **headers) is None


def test_a_gateway_without_the_files_has_no_page(tmp_path: Path) -> None:
    assert ask(Pages(None), "/cs_abc123") is None
    assert ask(Pages(tmp_path / "nowhere"), "/cs_abc123") is None
