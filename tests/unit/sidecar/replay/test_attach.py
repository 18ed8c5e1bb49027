"""What a viewer gets of old output, over a WebSocket."""

from __future__ import annotations

from unit.sidecar.doubles import Place

OURS = "codesessions.v1"


async def test_old_queries_are_not_shown_and_live_ones_are(here: Place) -> None:
    await here.shell()
    await here.print(b"old\x1b[6n\x1b]52;c;aGk=\x07")
    viewer = await here.websocket("?afterSeq=0")
    await here.print(b"live\x1b[6nend")
    assert await viewer.bytes_until(b"end") == b"oldlive\x1b[6nend"


async def test_the_log_as_it_is_can_be_asked_for(here: Place) -> None:
    await here.shell()
    await here.print(b"old\x1b[6nend")
    viewer = await here.websocket("?afterSeq=0&replay=raw")
    assert await viewer.bytes_until(b"end") == b"old\x1b[6nend"


async def test_a_query_in_two_chunks_is_not_shown(here: Place) -> None:
    await here.shell()
    for part in (b"old\x1b[", b"6", b"n!"):
        await here.print(part)
    viewer = await here.websocket("?afterSeq=0", OURS)
    assert (await viewer.message())["type"] == "hello"
    texts = [(message["seq"], message["text"]) for message in [await viewer.message() for _ in range(3)]]
    assert texts == [(1, "old"), (2, ""), (3, "!")]


async def test_a_blank_screen_is_brought_into_the_state_and_one_that_resumes_is_left_alone(here: Place) -> None:
    await here.shell()
    await here.print(b"\x1b[?2004h\x1b[?1004h\x1b[31m")
    await here.print(b"x" * 100_000)
    blank = await here.websocket("", OURS)
    hello = await blank.message()
    after, last = hello["afterSeq"], hello["lastSeq"]
    assert 1 <= after < last
    assert (await blank.message()) == {"type": "screen", "text": "\x1b[?2004h\x1b[0;31m"}
    texts = [(await blank.message())["text"] for _ in range(after, last)]
    assert set("".join(texts[:-1])) <= {"x"}
    assert texts[-1].endswith("x\x1b[?1004h")
    resumed = await here.websocket("?afterSeq=1", OURS)
    assert (await resumed.message())["type"] == "hello"
    assert set((await resumed.message())["text"]) == {"x"}
    told = await here.websocket("?afterSeq=1&replay=screen", OURS)
    assert (await told.message())["type"] == "hello"
    assert (await told.message())["type"] == "screen"


async def test_who_resumes_in_the_middle_of_a_sequence_gets_all_of_it(here: Place) -> None:
    await here.shell()
    for part in (b"one\x1b[3", b"1mtwo"):
        await here.print(part)
    viewer = await here.websocket("?afterSeq=1")
    assert await viewer.bytes_until(b"two") == b"\x18\x1b[31mtwo"


async def test_who_resumes_at_the_end_gets_what_is_live(here: Place) -> None:
    await here.shell()
    await here.print(b"one\x1b[?2004h")
    viewer = await here.websocket("?afterSeq=1")
    await here.print(b"\x1b[ctwo")
    assert await viewer.bytes_until(b"two") == b"\x1b[ctwo"


async def test_what_is_left_of_the_ring_begins_on_a_screen_of_then(here: Place) -> None:
    await here.shell()
    await here.print(b"\x1b[?1049h\x1b[?2004h")
    for number in range(40):
        await here.print(b"\x1bPq" + b"%02d" % number * 25_000 + b"\x1b\\" if number % 2 else b"text" * 12_500)
    viewer = await here.websocket("?afterSeq=0")
    first = bytes((await viewer.next()).data)
    assert first.startswith(b"\x18")
    assert first.endswith(b"\x1b[?1049h\x1b[?2004h")
    assert bytes((await viewer.next()).data)[:2] in (b"te", b"\x1bP")
