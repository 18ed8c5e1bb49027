from __future__ import annotations

import json
import logging

from codesessions_kube import logs


def record(**extra: object) -> logging.LogRecord:
    made = logging.LogRecord("a.b", logging.WARNING, "", 1, "it %s\n", ("broke",), None)
    made.created, made.msecs = 0.0, 7
    made.__dict__.update(extra)
    return made


def test_a_log_line_is_one_json_object() -> None:
    assert json.loads(logs.JsonFormatter().format(record())) == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "warning",
        "logger": "a.b",
        "message": "it broke\n",
    }


def test_fields_become_members_of_the_line() -> None:
    line = json.loads(logs.JsonFormatter().format(record(fields={"verb": "create", "bytes": 7, "odd": object})))
    assert (line["verb"], line["bytes"]) == ("create", 7)


def test_people_see_the_fields_behind_the_text() -> None:
    assert logs.TextFormatter().format(record(fields={"verb": "create"})).endswith(" verb=create")


def test_nobody_writes_lines_of_their_own_or_moves_the_readers_terminal() -> None:
    line = logs.TextFormatter().format(record(fields={"session": "x\r\nWARNING all is well\x1b[2J\x9b2J\u2028"}))
    assert line.isprintable()
    assert line.endswith(r" session=x\u000d\u000aWARNING all is well\u001b[2J\u009b2J\u2028")


def test_a_traceback_has_lines_of_its_own() -> None:
    error = ValueError("a\x1bb")
    lines = logs.TextFormatter().format(record(exc_info=(ValueError, error, None), fields={"a": "b"})).split("\n")
    assert lines[0].endswith(" a=b")
    assert lines[1:] == [r"ValueError: a\u001bb"]
