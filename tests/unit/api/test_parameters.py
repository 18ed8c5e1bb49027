from __future__ import annotations

import pytest
from codesessions_api import parameters
from codesessions_api.problems import Problem
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request


def request(query: bytes = b"", *prefer: str) -> Request:
    headers = [(b"prefer", each.encode("latin-1")) for each in prefer]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query, "headers": headers})


@pytest.mark.parametrize(
    ("prefer", "wait"),
    [
        ((), None),
        (("wait=5",), 5),
        (("wait=0",), 0),
        (("WAIT = 7",), 7),
        (('wait="9"',), 9),
        (("wait=010",), 10),
        (("wait=61",), 60),
        (("wait=" + "9" * 5000,), 60),
        (("respond-async, wait=3; x=y",), 3),
        (("return=minimal", "wait=4"), 4),
        (("wait=1, wait=2",), 1),
        (("wait=-1",), None),
        (("wait=1.5",), None),
        (("wait=\xb2",), None),
        (("wait",), None),
        (("waiting=5",), None),
    ],
)
def test_a_wait_is_read_as_far_as_it_can_be(prefer: tuple[str, ...], wait: int | None) -> None:
    assert parameters.preferred_wait(request(b"", *prefer)) == wait


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_any_preference_is_a_wait_within_bounds_or_none(text: str) -> None:
    found = parameters.preferred_wait(request(b"", text))
    assert found is None or 0 <= found <= parameters.MAX_WAIT_SECONDS


@given(st.binary(max_size=60))
def test_any_query_is_a_number_within_bounds_or_refused(query: bytes) -> None:
    try:
        found = parameters.whole_number(request(b"n=" + query), "n", 5, 1, 100)
    except Problem as problem:
        assert problem.code == "invalid_parameter"  # noqa: PT017
    else:
        assert 1 <= found <= 100


def test_without_one_the_default_counts() -> None:
    assert parameters.whole_number(request(), "n", 5, 1, 100) == 5
    assert parameters.text(request(), "n") is None
    assert parameters.text(request(b"n=%20a"), "n") == " a"
