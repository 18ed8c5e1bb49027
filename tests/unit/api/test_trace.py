"""The ids of a call, from hop to hop."""

from __future__ import annotations

import logging
import re

import pytest
from codesessions_api.trace import trace_of
from codesessions_kube.logs import request_fields
from support.restapi import BASE, ONE, Rest

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_a_trace_goes_on_with_a_span_of_our_own() -> None:
    found = trace_of("abc", PARENT)
    assert found.request_id == "abc"
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", found.parent)
    assert found.parent != PARENT
    assert found.fields == {"requestId": "abc", "traceId": TRACE}
    assert trace_of("abc", f"cc-{TRACE}-00f067aa0ba902b7-ff-what-is-to-come").parent.endswith("-01")


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "nonsense",
        PARENT.upper(),
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{PARENT}-more",
        f"{PARENT}\n",
        f"00-{TRACE[:-1]}-00f067aa0ba902b7-01",
    ],
)
def test_what_is_no_trace_is_dropped(parent: str) -> None:
    found = trace_of("abc", parent)
    assert found.headers == {"X-Request-Id": "abc"}
    assert found.fields == {"requestId": "abc"}


@pytest.mark.parametrize("odd", ["", "a b", "x" * 129, "ü", "a\n"])
def test_an_id_that_cannot_be_is_replaced(odd: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", trace_of(odd, "").request_id)


async def test_the_ids_are_in_the_audit_line_the_resource_and_at_the_sidecar(
    running: Rest, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[dict[str, str]] = []
    usual = running.sidecar.answer

    async def noted(request: object) -> object:
        seen.append({name.lower(): value for name, value in request.headers.items()})  # type: ignore[attr-defined]
        return await usual(request)  # type: ignore[arg-type]

    running.sidecar.answer = noted  # type: ignore[assignment]
    with caplog.at_level(logging.INFO, "audit"):
        made = await running.call("POST", BASE, {"projectName": "p", "projectDescription": ""}, traceparent=PARENT)
        await running.call("POST", f"{ONE}/input", {"text": "x"}, traceparent=PARENT, X_Request_Id="r1")
    created, typed = (record.fields for record in caplog.records if record.name == "audit")  # type: ignore[attr-defined]
    assert (created["requestId"], created["traceId"]) == (made.headers["x-request-id"], TRACE)
    assert (typed["requestId"], typed["traceId"]) == ("r1", TRACE)
    resource = running.kube.objects["CodeSession", "demo", made.json["sessionId"].replace("_", "-")]
    assert request_fields(resource["metadata"]["annotations"]) == {
        "requestId": made.headers["x-request-id"],
        "traceId": TRACE,
    }
    assert seen[-1]["x-request-id"] == "r1"
    assert seen[-1]["traceparent"].startswith(f"00-{TRACE}-")


def test_what_a_tenant_writes_in_the_place_of_ids_is_left_out() -> None:
    assert request_fields({"codesessions.dev/request-id": "a\nb", "codesessions.dev/traceparent": "x"}) == {}
    assert request_fields(None) == {}
