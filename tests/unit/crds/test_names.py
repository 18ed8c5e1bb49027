from __future__ import annotations

import re

import pytest
from codesessions_crds import names
from hypothesis import given
from hypothesis import strategies as st

WORD = st.from_regex(r"\A[a-z0-9]{1,40}\Z")


@given(WORD)
def test_id_and_name_are_each_other(word: str) -> None:
    name = f"cs-{word}"
    assert names.is_session_name(name)
    assert names.name_of_session(names.session_id(name)) == name
    assert names.workspace_id(name) == f"ws_{word}"
    assert names.workspace_name(name) == f"ws-{word}"


@pytest.mark.parametrize(
    "text",
    ["", "cs_", "cs-abc", "CS_abc", "cs_Abc", "cs_a-b", "cs_a_b", "ws_abc", "cs_" + "a" * 41, "cs_abc\n", "../x"],
)
def test_what_is_no_session_id_has_no_name(text: str) -> None:
    assert names.name_of_session(text) is None


@pytest.mark.parametrize("text", ["", "cs-", "cs_abc", "cs-a-b", "cs-Abc", "cs-" + "a" * 41, "cs-abc\n"])
def test_what_is_no_session_name(text: str) -> None:
    assert not names.is_session_name(text)


def test_new_names_are_valid_and_differ() -> None:
    made = {names.new_session_name() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"cs-[a-z0-9]{10}", name) for name in made)


@given(WORD)
def test_apps_and_builds_have_ids_and_names_too(word: str) -> None:
    assert names.app_of_session(f"cs-{word}") == f"app-{word}"
    assert names.name_of_app(names.app_id(f"app-{word}")) == f"app-{word}"
    assert names.name_of_build(names.build_id(f"bld-{word}")) == f"bld-{word}"


@pytest.mark.parametrize("text", ["", "app_", "app-abc", "app_A", "bld_a-b", "cs_abc", "app_abc\n", "bld_" + "a" * 41])
def test_what_is_no_id_of_an_app_or_build(text: str) -> None:
    assert names.name_of_app(text) is None
    assert names.name_of_build(text) is None
