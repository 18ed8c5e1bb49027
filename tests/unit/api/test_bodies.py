from __future__ import annotations

import json
from typing import Any

import pytest
from codesessions_api import bodies
from codesessions_api.bodies import Body, CreateSession, Resize, SendInput, read_body
from codesessions_api.problems import Problem
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def request(*parts: bytes, **headers: str) -> Request:
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return waiting.pop(0)

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": sent}, receive)


async def test_a_body_may_be_cut_anywhere() -> None:
    raw = '{"text": "é🧪"}'.encode()
    found = await read_body(request(*(bytes((byte,)) for byte in raw)), SendInput)
    assert (found.text, found.input_seq) == ("é🧪", None)


@given(st.binary(max_size=200))
async def test_any_bytes_are_a_body_or_a_problem(raw: bytes) -> None:
    for model in (CreateSession, SendInput, Resize):
        try:
            await read_body(request(raw), model)
        except Problem as problem:
            assert problem.status in {400, 422}  # noqa: PT017
            json.dumps(problem.document("x")).encode()


@given(JSON)
async def test_any_json_is_a_body_or_a_problem_that_can_be_said(value: Any) -> None:
    for raw in (json.dumps(value).encode(), json.dumps({"text": value, "rows": value}).encode()):
        for model in (CreateSession, SendInput, Resize):
            try:
                found = await read_body(request(raw), model)
            except Problem as problem:
                assert problem.status in {400, 422}  # noqa: PT017
                json.dumps(problem.document("x"), ensure_ascii=False).encode()
            else:
                assert isinstance(found, SendInput)
                found.text.encode()


@given(st.text(max_size=100))
async def test_text_comes_through_as_it_is(text: str) -> None:
    for ascii_only in (True, False):
        raw = json.dumps({"text": text, "inputSeq": 7}, ensure_ascii=ascii_only).encode()
        assert (await read_body(request(raw), SendInput)).text == text


async def test_the_longest_texts_fit_however_they_are_spelt() -> None:
    text = "\x1b" * bodies.MAX_TEXT_BYTES
    assert (await read_body(request(json.dumps({"text": text}).encode()), SendInput)).text == text
    wide = {"projectName": "\U0001f9ea" * 128, "projectDescription": "\U0001f9ea" * 4096}
    assert (await read_body(request(json.dumps(wide).encode()), CreateSession)).project_name == wide["projectName"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"projectName": 1, "projectDescription": ""}, "/projectName"),
        ({"projectName": "p"}, "/projectDescription"),
        ({"projectName": "p", "projectDescription": "", "a/b~c": 1}, "/a~1b~0c"),
        ([], ""),
    ],
)
async def test_a_refusal_points_at_the_place(body: object, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        await read_body(request(json.dumps(body).encode()), CreateSession)
    (error,) = caught.value.errors or []
    assert error["pointer"] == pointer
    assert error["detail"]


@pytest.mark.parametrize(
    ("raw", "model", "said"),
    [
        (b"", CreateSession, "The body is empty: send a JSON object."),
        (b"[]", CreateSession, "must be a JSON object with projectName, projectDescription"),
        (b'{"rows": 1, "cols": 2, "columns": 2}', Resize, "/columns: There is no such field; there is rows, cols"),
        (b'{"text": "a", "writer": ""}', SendInput, "/writer: String should have at least 1 character"),
    ],
)
async def test_a_refusal_says_what_to_send(raw: bytes, model: type[Body], said: str) -> None:
    with pytest.raises(Problem) as caught:
        await read_body(request(raw), model)
    assert said in caught.value.detail


async def test_a_packed_body_is_refused_as_such() -> None:
    with pytest.raises(Problem) as caught:
        await read_body(request(b"\x1f\x8b", content_encoding="gzip"), SendInput)
    assert (caught.value.status, caught.value.headers) == (415, {"Accept-Encoding": "identity"})
    assert (await read_body(request(b'{"text": "a"}', content_encoding="Identity"), SendInput)).text == "a"


async def test_a_refusal_is_not_longer_than_it_must_be() -> None:
    body = {"x" * 5000 + str(number): 1 for number in range(10)}
    with pytest.raises(Problem) as caught:
        await read_body(request(json.dumps(body).encode()), CreateSession)
    assert len(json.dumps(caught.value.document("x"))) < 8000


@pytest.mark.parametrize("model", Body.__subclasses__())
async def test_half_a_character_is_refused_wherever_there_is_text(model: type[Body]) -> None:
    names = [field.alias or name for name, field in model.model_fields.items() if "str" in str(field.annotation)]
    for name in names:
        with pytest.raises(Problem) as caught:
            await read_body(request(b'{"%s": "\\ud800"}' % name.encode()), model)
        assert any(error["pointer"] == f"/{name}" for error in caught.value.errors or []), name
