from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.conformance import Start, Terminal, target
from support.viewer import Viewer
from unit.launcher.survivors import end_survivors


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a session with a script."""
    with target(tmp_path) as made:
        yield made
    end_survivors(tmp_path)


@pytest.fixture
def attach() -> Iterator[Callable[..., Viewer]]:
    """Attaches viewers, and hangs up for those left."""
    made: list[Viewer] = []

    def one(terminal: Terminal, dialect: str = "raw", **options: Any) -> Viewer:
        made.append(Viewer(terminal, dialect, **options))
        return made[-1]

    yield one
    for each in made:
        each.cut()
