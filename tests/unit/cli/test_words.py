from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from codesessions_cli import words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("15m", timedelta(minutes=15)), ("12h", timedelta(hours=12)), ("30d", timedelta(days=30))],
)
def test_durations(text: str, wanted: timedelta) -> None:
    assert words.duration(text) == wanted


def test_scopes_come_once_and_in_order() -> None:
    wanted = ["code-sessions:write", "code-sessions:read"]
    assert words.scopes("code-sessions:write, code-sessions:read,code-sessions:write") == wanted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (words.duration, "0d"),
        (words.duration, "-1d"),
        (words.duration, "1w"),
        (words.duration, "\u0661d"),
        (words.duration, "99999999d"),
        (words.scopes, ""),
        (words.scopes, "read"),
        (words.organization, "Acme"),
        (words.organization, "-a"),
        (words.organization, "a" * 60),
        (words.label, "a b"),
        (words.label, "a,b"),
        (words.label, ""),
        (words.namespace, "../x"),
        (words.namespace, ""),
        (words.user, ""),
        (words.user, "x" * 129),
        (words.description, "x" * 257),
    ],
)
def test_words_that_are_off(kind: Callable[[str], Any], text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        kind(text)
