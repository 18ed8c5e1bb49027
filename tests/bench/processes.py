"""What a process of this machine has used, from proc(5)."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _mebibytes(file: Path, field: str) -> float:
    line = next(line for line in file.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def resident(pid: int) -> float:
    """MiB of memory now (VmRSS)."""
    return _mebibytes(Path(f"/proc/{pid}/status"), "VmRSS")


def peak(pid: int) -> float:
    """MiB of memory at most since it began (VmHWM)."""
    return _mebibytes(Path(f"/proc/{pid}/status"), "VmHWM")


def proportional(pid: int) -> float:
    """MiB of memory, each shared page divided among those that share it (Pss)."""
    return _mebibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def cpu(pid: int) -> float:
    """Seconds of CPU since it began, user and system."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def machine() -> tuple[float, float]:
    """Seconds of all CPUs together since the machine began: busy, and in all."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / TICKS, sum(ticks) / TICKS


def commands() -> dict[int, list[str]]:
    """The command line of every process there is."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_text(errors="replace").split("\0")
            except OSError:  # it has ended meanwhile
                continue
            found[int(folder.name)] = words
    return found


def spent() -> dict[int, float]:
    """Seconds of CPU of every process so far."""
    found = {}
    for pid in commands():
        try:
            found[pid] = cpu(pid)
        except OSError:
            continue
    return found


def busiest(before: dict[int, float], count: int = 8) -> str:
    """Who has used the most CPU since `before`, in words, processes of one name together."""
    names, now = commands(), spent()
    used: dict[str, float] = {}
    for pid, seconds in now.items():
        words = [word.rpartition("/")[2] for word in names.get(pid, [])[:4] if word and not word.startswith("-")]
        name = next((word for word in words if not word.startswith("python")), "kernel")
        used[name] = used.get(name, 0) + seconds - before.get(pid, 0)
    most = sorted(used.items(), key=lambda pair: -pair[1])[:count]
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in most)
