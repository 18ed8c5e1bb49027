"""Programs are built once, however many ask for them at the same moment."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from codesessions_dev.local.binaries import Group, build

GO = """#!/bin/sh
echo run >>"$COUNT"
for _ in 1 2 3 4 5 6 7 8 9; do ls / >/dev/null; done
echo program >"$GOBIN/helm"
"""


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and a compiler that only counts; the file has a line for each run of it."""
    folder = tmp_path / "go"
    folder.mkdir()
    (folder / "go").write_text(GO)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    return tmp_path / "count"


def test_of_many_who_ask_at_once_one_builds(count: Path) -> None:
    group = Group("addons", "nothing", "0")
    with ThreadPoolExecutor(8) as pool:
        folders = {each.result() for each in [pool.submit(build, group) for _ in range(8)]}
    assert len(folders) == 1
    assert (folders.pop() / "helm").read_text() == "program\n"
    assert count.read_text() == "run\n"


def test_what_was_built_before_is_taken(count: Path) -> None:
    group = Group("addons", "nothing", "0")
    assert build(group) == build(group)
    assert count.read_text() == "run\n"
