"""What every suite on the installed product begins with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from codesessions_dev import envfile
from codesessions_dev.envfile import Access


def mark(items: Iterable[pytest.Item], folder: Path) -> list[pytest.Item]:
    """Say of the tests below a folder that they need the cluster; returns them."""
    found = [item for item in items if folder in item.path.parents]
    for item in found:
        item.add_marker(pytest.mark.cluster)
    return found


def known_access() -> Access:
    """How to reach it; fails where nothing is installed."""
    found = envfile.read()
    if found is None:
        pytest.fail("there is no .dev/env: run `make install` first", pytrace=False)
    return found
