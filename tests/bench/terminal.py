"""The terminal side by side with ttyd and terminado in one run: output, echo, memory, Ctrl-C, a stalled viewer.

`make bench-terminal`; with the development cluster installed also through its ingress. Rounds are interleaved, medians
are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from bench import processes
from bench.figures import Verdicts, percentile, table
from bench.frames import Stream
from bench.peers import Terminal, sidecar, terminado, ttyd
from bench.through_ingress import ingress

Start = Callable[[str], AbstractContextManager[Terminal]]
SIZE = 80_000_000
LINE = "0123456789" * 7 + "012345678"
ON, DONE = b"<<ON>>", b"<<DONE>>"
FLOOD = f"stty -echo; echo '<<''ON>>'; read x; yes {LINE} | head -c {SIZE}; echo '<<''DONE>>'; exec sleep 1000"
ECHO = "stty raw -echo; echo '<<''ON>>'; exec cat"
ENDLESS = f"trap \"echo '<<''DONE>>'\" INT; stty -echo; echo '<<''ON>>'; read x; yes {LINE}; exec sleep 1000"
ECHOES = 1000
KEYS = 25
"""Of one terminal, before it is the next one's turn."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, to the nanosecond (proc_pid_schedstat)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def begin(terminal: Terminal, *, receive_buffer: int | None = None) -> Stream:
    """A viewer of a shell that is ready."""
    stream = terminal.attach(receive_buffer=receive_buffer)
    stream.until(ON)
    return stream


class Figures:
    """Figures of one terminal, a list for every kind."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[float]] = {}

    def add(self, kind: str, value: float) -> None:
        self.rounds.setdefault(kind, []).append(value)

    def median(self, kind: str) -> float:
        return statistics.median(self.rounds[kind]) if kind in self.rounds else float("nan")


def flood(start: Start, figures: Figures) -> None:
    """One viewer takes all of 80 MB as fast as it can."""
    with start(FLOOD) as terminal:
        stream = begin(terminal)
        used = {name: cpu_seconds(pid) for name, pid in terminal.pids.items()}
        own = time.process_time()
        terminal.type(stream, b"\n")
        flow = stream.until(DONE)
        lines = SIZE / len(LINE + "\n")
        figures.add("MB/s", (SIZE + lines) / flow.seconds / 1e6)
        figures.add("client ms/MB", (time.process_time() - own) * 1e9 / SIZE)
        figures.add("KiB/message", flow.payload / flow.messages / 1024)
        assert flow.payload >= SIZE + lines, f"{SIZE + lines - flow.payload:.0f} bytes never came"
        for name, pid in terminal.pids.items():
            kind = "server ms/MB" if name != "launcher" else "launcher ms/MB"
            figures.add(kind, (cpu_seconds(pid) - used[name]) * 1e9 / SIZE)
        stream.close()


def echo(starts: Mapping[str, Start], figures: Mapping[str, Figures]) -> None:
    """A key and its echo, one after the other.

    All terminals run at once and take turns of a few keys: what else the machine does then meets all of them alike.
    """
    with contextlib.ExitStack() as stack:
        terminals = {name: stack.enter_context(start(ECHO)) for name, start in starts.items()}
        streams = {name: begin(terminal) for name, terminal in terminals.items()}
        times: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(ECHOES // KEYS):
            for name, terminal in terminals.items():
                for _ in range(KEYS):
                    begun = time.perf_counter()
                    terminal.type(streams[name], b"x")
                    streams[name].wait()
                    times[name].append(time.perf_counter() - begun)
        for name, stream in streams.items():
            figures[name].add("echo p10 us", percentile(times[name], 0.1) * 1e6)
            figures[name].add("echo p50 us", percentile(times[name], 0.5) * 1e6)
            figures[name].add("echo p99 us", percentile(times[name], 0.99) * 1e6)
            stream.close()


def stale(start: Start, figures: Figures, *, pace: float = 0.0) -> None:
    """Ctrl-C during a flood, by a viewer that takes all it can or `pace` bytes a second: what still comes.

    The slow one has a receive buffer of 64 KiB: what its own kernel holds no server can take back.
    """
    with start(ENDLESS) as terminal:
        stream = begin(terminal, receive_buffer=65536 if pace else None)
        terminal.type(stream, b"\n")
        seen: list[float] = []

        def interrupt() -> None:
            seen.append(stream.taken)
            terminal.type(stream, b"\x03")

        typist = threading.Timer(1.5, interrupt)
        typist.start()
        stream.until(DONE, pace=pace)
        typist.join()
        figures.add("stale MB, slow viewer" if pace else "stale MB", (stream.taken - seen[0]) / 1e6)
        stream.close()


def idle(start: Start, figures: Figures) -> None:
    """Memory with nobody attached, before anybody was where the terminal has a shell without viewers."""
    with start(ECHO) as terminal:
        pid = next(iter(terminal.pids.values()))
        if terminal.rig is not None:
            terminal.rig.read_until(ON.decode())
        figures.add("idle MiB", processes.resident(pid))


def company(start: Start, figures: Figures) -> None:
    """Memory while five viewers watch one flood, the most of it."""
    with start(FLOOD) as terminal:
        pid = next(iter(terminal.pids.values()))
        streams = [begin(terminal) for _ in range(5)]
        threads = [threading.Thread(target=stream.until, args=(DONE,)) for stream in streams]
        for thread in threads:
            thread.start()
        terminal.type(streams[0], b"\n")
        most = 0.0
        while any(thread.is_alive() for thread in threads):
            most = max(most, processes.resident(pid))
            time.sleep(0.02)
        figures.add("five viewers MiB", most)
        for stream in streams:
            stream.close()


def stalled(start: Start, figures: Figures, seconds: float) -> None:
    """Memory for a time of flood with a viewer that never reads: how far it moves after the first two seconds."""
    with start(ENDLESS) as terminal:
        pid = next(iter(terminal.pids.values()))
        stream = begin(terminal, receive_buffer=65536)
        terminal.type(stream, b"\n")
        time.sleep(2)
        samples, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            samples.append(processes.resident(pid))
            time.sleep(0.25)
        figures.add("stalled: MiB moved", max(samples) - min(samples))
        figures.add("stalled: MiB", max(samples))
        stream.close()


def shell_speed(start: Start, figures: Figures) -> None:
    """How long the shell takes for 80 MB beside a viewer that reads: alone, then with one that never reads."""
    for kind, with_stalled in (("shell MB/s", False), ("shell MB/s, one stalled", True)):
        with start(FLOOD) as terminal:
            dead = begin(terminal, receive_buffer=65536) if with_stalled else None
            stream = begin(terminal)
            terminal.type(stream, b"\n")
            figures.add(kind, SIZE / stream.until(DONE).seconds / 1e6)
            stream.close()
            if dead:
                dead.close()


def main() -> None:
    """Print the figures, and say of every target whether it is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stalled-seconds", type=float, default=60)
    options = parser.parse_args()
    starts: dict[str, Start] = {"sidecar": sidecar, "ttyd": ttyd, "terminado": terminado}
    figures = {name: Figures() for name in (*starts, "ingress")}
    for number in range(options.rounds):
        order = list(starts.items())
        order = order[number % 3 :] + order[: number % 3]
        for name, start in order:
            flood(start, figures[name])
            idle(start, figures[name])
            stale(start, figures[name])
            stale(start, figures[name], pace=10e6)
        echo(dict(order), figures)
        with ingress() as through:
            if through is not None:
                flood(through, figures["ingress"])
                echo({"ingress": through}, figures)
                stale(through, figures["ingress"])
        shell_speed(sidecar, figures["sidecar"])
        company(sidecar, figures["sidecar"])
    stalled(sidecar, figures["sidecar"], options.stalled_seconds)

    print(f"{os.cpu_count()} cores, {options.rounds} rounds, medians\n")
    print(table({name: {kind: each.median(kind) for kind in each.rounds} for name, each in figures.items()}))
    ours, theirs, far = figures["sidecar"], figures["ttyd"], figures["ingress"]
    verdicts = Verdicts()
    speed = theirs.median("MB/s")
    verdicts.at_least("output at the sidecar, times ttyd", ours.median("MB/s") / speed, 1.5)
    if far.rounds:
        verdicts.at_least("output through the ingress, times ttyd direct", far.median("MB/s") / speed, 1.2)
    verdicts.at_most("echo p50, times ttyd", ours.median("echo p50 us") / theirs.median("echo p50 us"), 1.2)
    verdicts.at_most("idle RSS, MiB", ours.median("idle MiB"), 20)
    verdicts.at_most("RSS with five viewers, MiB", ours.median("five viewers MiB"), 30)
    verdicts.at_most("RSS moved in a flood with a stalled viewer, MiB", ours.median("stalled: MiB moved"), 4)
    verdicts.at_most("stale output after Ctrl-C, MB", ours.median("stale MB"), 0.5)
    verdicts.at_most("the same, viewer at 10 MB/s", ours.median("stale MB, slow viewer"), 0.5)
    ratio = ours.median("shell MB/s, one stalled") / ours.median("shell MB/s")
    verdicts.at_least("shell speed with a stalled viewer, of that without", ratio, 0.9)
    verdicts.at_most("sidecar CPU per MB, times ttyd's", ours.median("server ms/MB") / theirs.median("server ms/MB"), 1)
    print(verdicts.text())
    raise SystemExit(not verdicts.met)


if __name__ == "__main__":
    main()
