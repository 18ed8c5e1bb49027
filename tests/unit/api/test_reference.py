from __future__ import annotations

from html.parser import HTMLParser

from support.restapi import DOCUMENT, Rest

OPERATIONS = [each[verb] for each in DOCUMENT["paths"].values() for verb in ("get", "post", "delete") if verb in each]


class Page(HTMLParser):
    """What a page names: ids, texts, and whatever it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.loaded: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag in {"script", "link", "img", "iframe"} or "src" in found or str(found.get("href")).startswith("http"):
            self.loaded.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


async def test_every_call_is_on_the_page_and_it_loads_nothing(rest: Rest) -> None:
    async with rest.http.get(f"http://127.0.0.1:{rest.port}/docs") as answer:
        text = await answer.text()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page(text)
    assert page.loaded == []
    assert {each["operationId"] for each in OPERATIONS} <= page.ids
    assert all(each["summary"] in page.words for each in OPERATIONS)
    assert all(name in page.words for name in ("afterSeq", "X-API-Key", "idempotency_key_reused"))
