"""`/docs`: the OpenAPI document as one page to read.

It has no script and loads nothing. The usual viewers come from a content delivery network, and whoever rules that has
the keys that people try calls with; where there is no way out they show nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from codesessions_api import openapi

Document = dict[str, Any]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "pre{overflow:auto;padding:.5rem;border:1px solid #8888}summary{cursor:pointer}h2{margin-top:2.5rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}"
)
_METHODS = ("get", "post", "put", "patch", "delete")


@cache
def page() -> str:
    """The page as HTML."""
    document = openapi.document()
    info = document["info"]
    title = escape(f"{info['title']} API")
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{_text(info['description'])}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Calls need the header <code>X-API-Key</code>.</p>',
    ]
    for path, item in document["paths"].items():
        for method in filter(item.__contains__, _METHODS):
            parts += _operation(document, method, path, item)
    return "".join(parts)


def _operation(document: Document, method: str, path: str, item: Document) -> Iterator[str]:
    operation = item[method]
    name = escape(operation["operationId"])
    yield f'<h2 id="{name}"><a href="#{name}">{escape(operation["summary"])}</a></h2>'
    yield f"<p><code>{method.upper()} {escape(path)}</code></p><p>{_text(operation.get('description', ''))}</p>"
    parameters = [_resolved(document, each) for each in (*item.get("parameters", ()), *operation.get("parameters", ()))]
    if parameters:
        yield "<table><tr><th>parameter<th>in<th>"
        for each in parameters:
            told = each.get("description") or _resolved(document, each.get("schema", {})).get("description", "")
            yield f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}<td>{_text(told)}"
        yield "</table>"
    body = _resolved(document, operation.get("requestBody", {}))
    yield from _examples(document, "Body", body)
    for status, answer in operation["responses"].items():
        found = _resolved(document, answer)
        yield f"<details><summary>{escape(status)} {_text(found.get('description', ''))}</summary>"
        yield from _examples(document, "", found)
        yield "</details>"


def _examples(document: Document, title: str, item: Document) -> Iterator[str]:
    for kind, content in item.get("content", {}).items():
        shown = [content["example"]] if "example" in content else []
        shown += [_resolved(document, each).get("value") for each in content.get("examples", {}).values()]
        yield f"<p>{escape(f'{title} {kind}'.strip())}</p>"
        for each in shown:
            text = each if isinstance(each, str) else json.dumps(each, indent=2, ensure_ascii=False)
            yield f"<pre>{escape(text)}</pre>"


def _resolved(document: Document, item: Document) -> Document:
    """What a `$ref` of the document points to."""
    while "$ref" in item:
        found: Any = document
        for part in item["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        item = found
    return item


def _text(text: str) -> str:
    """Words of the document, whose backquotes are code."""
    return "".join(
        f"<code>{each}</code>" if number % 2 else each for number, each in enumerate(escape(text).split("`"))
    )
