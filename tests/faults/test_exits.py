"""Commands that end as soon as they begin: every byte, and the code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.faults import scaled
from support.sidecar import Rig

EXITS = scaled(50, 1000)


@pytest.mark.timeout(1200)
def test_fast_exits_lose_nothing(make: Callable[..., Rig]) -> None:
    for number in range(EXITS):
        rig = make(CODESESSIONS_SPOOL_BYTES=str(1 << 20))
        rig.start_sidecar()
        rig.start_launcher("/bin/sh", "-c", f"echo {number}; exit 7")
        page = rig.until_exit()
        assert "".join(chunk["text"] for chunk in page["chunks"]) == f"{number}\r\n"
        assert page["exit"] == {"code": 7, "signal": None}
        assert rig.launcher is not None
        assert rig.launcher.wait(60) == 7
        rig.stop()
