"""The ids by which one call is found again at every hop: X-Request-Id, and traceparent (W3C Trace Context) if given.

We make no spans; the trace's id is put into our lines and passed on with a span id of this hop's own.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

from codesessions_crds.names import REQUEST_ID_ANNOTATION, TRACE_ANNOTATION
from codesessions_kube.logs import REQUEST_ID

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class Trace:
    """`parent` is the traceparent that goes on to others, "" without a trace."""

    request_id: str
    parent: str = ""

    @property
    def fields(self) -> dict[str, object]:
        """As a line of the log has them."""
        return {"requestId": self.request_id, **({"traceId": self.parent[3:35]} if self.parent else {})}

    @property
    def headers(self) -> dict[str, str]:
        """For a request to another program."""
        found = {"X-Request-Id": self.request_id, "traceparent": self.parent}
        return {name: value for name, value in found.items() if value}

    @property
    def annotations(self) -> dict[str, str]:
        """For a resource, so that the operator's lines have them."""
        found = {REQUEST_ID_ANNOTATION: self.request_id, TRACE_ANNOTATION: self.parent}
        return {name: value for name, value in found.items() if value}


def trace_of(request_id: str, parent: str) -> Trace:
    """What came with a request; an id that cannot be is replaced, a traceparent that cannot be is dropped."""
    tag = request_id if REQUEST_ID.fullmatch(request_id) else secrets.token_hex(8)
    return Trace(tag, _next(parent) if parent else "")


def _next(parent: str) -> str:
    """traceparent for the next hop; "" for one that is not valid (Trace Context, section 3.2.2)."""
    found = _PARENT.fullmatch(parent)
    if found is None:
        return ""
    version, trace, span, flags, rest = found.groups()
    if version == "ff" or not trace.strip("0") or not span.strip("0") or (version == "00" and rest is not None):
        return ""
    return f"00-{trace}-{secrets.token_hex(8)}-{flags if version == '00' else f'{int(flags, 16) & 1:02x}'}"


current: ContextVar[Trace] = ContextVar("trace", default=Trace(""))  # noqa: B039 - a Trace does not change
"""Of the request that this task serves."""
