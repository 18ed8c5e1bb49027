"""How long the tests of faults are: short in CI, in full with CODESESSIONS_FAULTS=full (`make faults`)."""

from __future__ import annotations

import os

FULL = os.environ.get("CODESESSIONS_FAULTS") == "full"


def scaled(short: int, full: int) -> int:
    """A count for this run."""
    return full if FULL else short
