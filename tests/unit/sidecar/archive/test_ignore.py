"""Ignore files, against a matcher that goes name by name."""

from __future__ import annotations

import pytest
from codesessions_sidecar.archive.errors import ArchiveError
from codesessions_sidecar.archive.ignore import Rules, parse
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults import scaled


def ignored(text: str, path: str) -> bool:
    """As a walk does it: folder by folder."""
    rules = Rules(parse(text, ".csignore"))
    above, parts = rules.top, path.split("/")
    for depth in range(1, len(parts)):
        above = rules.matches("/".join(parts[:depth]), above)
    return rules.ignored(path, above)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "b/a", False),
        ("**/a", "b/c/a", True),
        ("**/a", "a", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "az", False),
        ("*", "a/b", True),
        ("*/b", "a/b", True),
        ("*/b", "a/c/b", False),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("[^a]b", "/b", False),
        ("[]x]", "]", True),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("/a", "a", True),
        ("a/", "a/b", True),
        ("./a/../b", "b", True),
        ("  a  ", "a", True),
        ("# a", "# a", False),
        ("\ufeffa", "a", True),
        ("a\r\nb", "a", True),
        ("*\n!a", "a", False),
        ("*\n!a", "a/b", False),
        ("!a\n*", "a", True),
        ("a\n!a/b\na/b/c", "a/b/x", False),
        ("a\n!a/b\na/b/c", "a/b/c", True),
        ("a\n!a/b\na/b/c", "a/x", True),
        ("**", "a/b", True),
        (".", "a", False),
        ("a.b", "axb", False),
        ("(a|b)$", "a", False),
        ("new\\\nline", "new", False),
    ],
)
def test_the_rules_are_dockers(text: str, path: str, expected: bool) -> None:
    try:
        assert ignored(text, path) is expected
    except ArchiveError:
        assert text.startswith("new"), "a backslash at the end of a line"


@pytest.mark.parametrize("text", ["[a", "ok\n[z-a]", "!", "a\\", "x" * 600, "a\n" * 1001])
def test_what_is_no_pattern_is_named(text: str) -> None:
    with pytest.raises(ArchiveError, match=r"\.csignore line \d+") as caught:
        parse(text, ".csignore")
    assert caught.value.code == "bad_pattern"


# -- a reference that knows no regular expressions


def name_matches(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(name_matches(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and pattern[0] in {"?", name[0]} and name_matches(pattern[1:], name[1:])


def path_matches(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(path_matches(pattern[1:], path[at:]) for at in range(len(path) + 1))
    return bool(path) and name_matches(pattern[0], path[0]) and path_matches(pattern[1:], path[1:])


def reference(lines: list[str], path: str) -> bool:
    parts, out = path.split("/"), False
    for line in lines:
        pattern = line.removeprefix("!").split("/")
        if any(path_matches(pattern, parts[:depth]) for depth in range(1, len(parts) + 1)):
            out = not line.startswith("!")
    return out


NAMES = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PARTS = st.one_of(NAMES, st.just("**"), st.text("ab*?", min_size=1, max_size=3).filter(lambda part: "**" not in part))
LINES = st.builds(
    lambda exception, parts: ("!" if exception else "") + "/".join(parts),
    st.booleans(),
    st.lists(PARTS, min_size=1, max_size=4).filter(lambda parts: "** **" not in " ".join(parts)),
)


@given(st.lists(LINES, max_size=5), st.lists(NAMES, min_size=1, max_size=4).map("/".join))
@settings(max_examples=scaled(200, 1500), deadline=None)
def test_the_rules_agree_with_a_plain_reference(lines: list[str], path: str) -> None:
    assert ignored("\n".join(lines), path) is reference(lines, path)
