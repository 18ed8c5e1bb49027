from __future__ import annotations

import json

import pytest
from codesessions_sidecar.log import log, timestamp, trace_fields


def test_times_are_rfc_3339_in_utc() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1_738_416_301_999_999_999) == "2025-02-01T13:25:01.999Z"


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    log("attach", user='a"b\n', viewers=1)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["user"], found["viewers"]) == ("attach", 'a"b\n', 1)
    assert found["time"].endswith("Z")


def test_or_words_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESESSIONS_LOG_FORMAT", "text")
    log("detach", viewers=0)
    assert capsys.readouterr().err.endswith(" event=detach viewers=0\n")
    log("attach", user="x\nevent=detach\x1b[2J\x9b")
    assert capsys.readouterr().err.endswith(" event=attach user=x\\u000aevent=detach\\u001b[2J\\u009b\n")


def test_the_ids_of_a_request_are_fields_of_a_line() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"x-request-id": "r1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert trace_fields(headers) == {"requestId": "r1", "traceId": trace}
    assert trace_fields({"x-request-id": "a b", "traceparent": "x"}) == trace_fields({}) == {}
