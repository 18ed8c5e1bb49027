"""docs/security.md names tests as proof: they must be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from codesessions_dev.layout import REPO

TEXT = (REPO / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
TABLE = TEXT.partition("| threat | control | test |\n|---|---|---|\n")[2].partition("\n\n")[0].splitlines()


def names_in(path: Path) -> set[str]:
    return {
        each.name
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_")
    }


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert (REPO / path).is_file(), path
    assert name in names_in(REPO / path)


def test_every_threat_has_a_control_and_a_test() -> None:
    assert len(TABLE) > 30
    for row in TABLE:
        threat, control, tests = row.strip("|").split(" | ")
        assert threat.strip()
        assert control.strip()
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", tests), threat


def test_what_is_named_is_all_that_looks_like_a_test() -> None:
    """A name that is misspelt so that the pattern does not take it would go unnoticed."""
    assert len(re.findall(r"::test_", TEXT)) == len(re.findall(r"`tests/[\w/]+\.py::\w+`", TEXT))
