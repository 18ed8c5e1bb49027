from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.sidecar import LAUNCHER, Rig
from unit.launcher.survivors import end_survivors


@pytest.fixture(autouse=True)
def no_survivors(tmp_path: Path) -> Iterator[None]:
    """Nothing of a test outlives it."""
    yield
    end_survivors(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes launchers and sidecars, not yet started; settings by name."""
    assert LAUNCHER.exists(), "run `make launcher` first"
    made: list[Rig] = []

    def one(**environment: str) -> Rig:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Rig(folder, **environment))
        return made[-1]

    yield one
    for rig in made:
        rig.stop()
    for log in sorted(tmp_path.glob("*/*.log"))[-4:]:
        print(log.name, log.read_text()[-3000:])


@pytest.fixture
def rig(make: Callable[..., Rig]) -> Rig:
    """One of them, with a ring that holds all a test prints."""
    return make(CODESESSIONS_SPOOL_BYTES=str(512 << 20))
