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
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A launcher and a sidecar, not yet started."""
    assert LAUNCHER.exists(), "run `make launcher` first"
    made = Rig(tmp_path)
    yield made
    made.stop()
    for log in sorted(tmp_path.glob("*.log")):
        print(log.name, log.read_text()[-3000:])


@pytest.fixture
def shell(rig: Rig) -> Callable[..., Rig]:
    """Starts both; the words are the shell's argv."""

    def start(*argv: str) -> Rig:
        rig.start_sidecar()
        rig.start_launcher(*argv)
        return rig

    return start
