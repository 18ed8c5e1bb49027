"""Recordings by REST, of a sidecar that answers as it does."""

from __future__ import annotations

import json

import aiohttp
import pytest
from codesessions_transcript.records import End, Header, Output, Record, encode
from support.restapi import ONE, Rest

PATH = f"{ONE}/recording"
RECORDS: list[Record] = [
    Header("cs_abc123", 0, 1, 2, 24, 80),
    Output(1, 1_000_000_000, b"\x1b[31mone\r\n"),
    Output(2, 3_000_000_000, b"two\r\n"),
    End(2, 7, None),
]


def transcript(records: list[Record]) -> bytes:
    return b"".join(map(encode, records))


async def test_a_recording_is_made_of_the_transcript(running: Rest) -> None:
    running.sidecar.say(200, transcript(RECORDS))
    answer = await running.call("GET", PATH)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/x-asciicast"
    assert answer.headers["content-disposition"] == 'attachment; filename="cs_abc123.cast"'
    lines = [json.loads(line) for line in answer.text.decode().splitlines()]
    assert lines[0]["version"] == 3
    assert lines[1:] == [[0.0, "o", "\x1b[31mone\r\n"], [2.0, "o", "two\r\n"], [0.0, "x", "7"]]
    assert running.ticket().scope == ("read",)
    assert running.sidecar.calls[-1][:2] == ("GET", "/v1/transcript")


async def test_plain_text_can_be_asked_for(running: Rest) -> None:
    running.sidecar.say(200, transcript(RECORDS))
    answer = await running.call("GET", PATH + "?format=text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="cs_abc123.txt"'
    assert answer.text == b"one\ntwo\n"


async def test_another_format_is_refused(running: Rest) -> None:
    answer = await running.call("GET", PATH + "?format=gif")
    assert (answer.status, answer.code) == (422, "invalid_parameter")


@pytest.mark.parametrize("text", [transcript(RECORDS[:-1]), transcript(RECORDS[:2]) + b"nonsense\n"])
async def test_a_transcript_that_breaks_off_makes_no_whole_recording(running: Rest, text: bytes) -> None:
    running.sidecar.say(200, text)
    with pytest.raises(aiohttp.ClientError):
        await running.call("GET", PATH)


async def test_a_sidecar_that_refuses_is_a_problem(running: Rest) -> None:
    running.sidecar.say(500)
    answer = await running.call("GET", PATH)
    assert (answer.status, answer.code) == (503, "terminal_unavailable")


async def test_a_key_is_needed(running: Rest) -> None:
    assert (await running.call("GET", PATH, key="")).status == 401
