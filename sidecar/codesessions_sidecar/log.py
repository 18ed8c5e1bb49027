"""One JSON object a line on standard error. Never what was typed or printed in the session."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def timestamp(nanoseconds: int) -> str:
    """Unix time in nanoseconds as RFC 3339 in UTC, to the millisecond."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03d}Z"


def log(event: str, **details: object) -> None:
    """Write one line; as `key=value` words where CODESESSIONS_LOG_FORMAT is `text`."""
    line = {"time": timestamp(time.time_ns()), "event": event, **details}
    if os.environ.get("CODESESSIONS_LOG_FORMAT") == "text":
        text = " ".join(f"{name}={value}" for name, value in line.items())
        text = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)  # it stays one line
    else:
        text = json.dumps(line, separators=(",", ":"), default=str)
    sys.stderr.write(text + "\n")


def trace_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The ids of a request, for a line: `requestId` and, of a trace (W3C Trace Context), `traceId`."""
    given, parent = headers.get("x-request-id", ""), _PARENT.fullmatch(headers.get("traceparent", ""))
    found = {"requestId": given} if _REQUEST_ID.fullmatch(given) else {}
    return {**found, "traceId": parent[1]} if parent else found
