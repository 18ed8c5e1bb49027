from __future__ import annotations

import pytest
from codesessions_sidecar.ending import Exit
from hypothesis import given
from hypothesis import strategies as st

EXITS = st.one_of(
    st.builds(Exit, st.integers(0, 255), st.none(), st.booleans()),
    st.builds(Exit, st.none(), st.integers(1, 64), st.booleans()),
)


@given(EXITS)
def test_an_exit_survives_as_a_number(ended: Exit) -> None:
    assert ended.pack() != 0
    assert Exit.unpack(ended.pack()) == ended


@given(EXITS)
def test_an_exit_survives_as_a_message(ended: Exit) -> None:
    assert Exit.read({**ended.document(), "terminated": ended.terminated}) == ended


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"code": 256, "signal": None},
        {"code": -1, "signal": None},
        {"code": True, "signal": None},
        {"code": "7", "signal": None},
        {"code": None, "signal": 0},
        {"code": None, "signal": 65},
        {"code": 1, "signal": 9},
    ],
)
def test_what_is_no_end_is_not_taken_for_one(message: dict[str, object]) -> None:
    assert Exit.read(message) is None


def test_it_says_itself_as_close_frames_do() -> None:
    assert str(Exit(7, None)) == "exit 7"
    assert str(Exit(None, 9)) == "signal 9"
    assert Exit.unpack(0) is None
