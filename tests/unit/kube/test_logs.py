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
