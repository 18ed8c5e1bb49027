from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from codesessions_sidecar.folders import FolderBusyError, lock, pod_instance


def test_a_pod_keeps_its_number(tmp_path: Path) -> None:
    number = pod_instance(tmp_path)
    assert 0 < number < 1 << 63
    assert pod_instance(tmp_path) == number
    (tmp_path / "instance").write_text("garbage")
    assert pod_instance(tmp_path) != number


def test_one_sidecar_at_a_time(tmp_path: Path) -> None:
    held = lock(tmp_path / "data", seconds=0)
    with pytest.raises(FolderBusyError):
        lock(tmp_path / "data", seconds=0.05)
    os.close(held)
    os.close(lock(tmp_path / "data", seconds=0))


def test_a_killed_sidecar_does_not_lock_its_successor_out(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from codesessions_sidecar.folders import lock
lock(Path({str(tmp_path)!r}), seconds=0)
print("locked", flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        process.kill()
    os.close(lock(tmp_path, seconds=5))
