"""Logs and audit lines of all our programs: one JSON object a line on standard error, or text for people."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from codesessions_crds.names import REQUEST_ID_ANNOTATION, TRACE_ANNOTATION

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""What an X-Request-Id may be."""
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class JsonFormatter(logging.Formatter):
    """A record as one JSON object; `extra={"fields": {...}}` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def harmless(text: str) -> str:
    """A text that stays on its line and moves no terminal: control characters are escaped as JSON has them."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class TextFormatter(logging.Formatter):
    """A record as a line for people, with the fields behind it; a traceback has lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text, *traceback = super().format(record).split("\n") if record.exc_info else (super().format(record),)
        fields = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        return "\n".join(map(harmless, (text + fields, *traceback)))


def configure(level: str, form: str) -> None:
    """Set up the root logger; audit lines are written at every level. Raises ValueError for an unknown level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("audit").setLevel(logging.INFO)


def request_fields(annotations: Mapping[str, str] | None) -> dict[str, str]:
    """The ids of the REST call that made an object, as fields of a line; what somebody else wrote there is left out."""
    given = annotations or {}
    request, parent = given.get(REQUEST_ID_ANNOTATION, ""), _PARENT.fullmatch(given.get(TRACE_ANNOTATION, ""))
    found = {"requestId": request} if REQUEST_ID.fullmatch(request) else {}
    return {**found, "traceId": parent[1]} if parent else found
