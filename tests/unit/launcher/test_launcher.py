"""The launcher as a real process, with a sidecar of straw."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import stat
import statistics
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.sidecar import LAUNCHER, until
from unit.launcher.survivors import end_survivors

DEADLINE = 60.0


class Sidecar:
    """Listens where the launcher calls, and holds what it hands over."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "pty.sock"
        self.listener: socket.socket | None = None
        self.control: socket.socket | None = None
        self.descriptors: list[int] = []

    def listen(self) -> None:
        self._path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(DEADLINE)
        self.listener.bind(str(self._path))
        self.listener.listen(4)

    def hello(self) -> dict[str, Any]:
        """Wait for a launcher's hello."""
        assert self.listener is not None
        self.control, _ = self.listener.accept()
        self.control.settimeout(DEADLINE)
        packet, descriptors, _, _ = socket.recv_fds(self.control, 4096, 9)
        self._let_go()
        self.descriptors = descriptors
        found: dict[str, Any] = json.loads(packet)
        return found

    def next(self) -> dict[str, Any]:
        assert self.control is not None
        found: dict[str, Any] = json.loads(self.control.recv(4096))
        return found

    def tell(self, **message: Any) -> None:
        assert self.control is not None
        self.control.send(json.dumps(message, separators=(",", ":")).encode())

    @property
    def master(self) -> int:
        return self.descriptors[0]

    def type(self, text: str) -> None:
        assert os.write(self.master, text.encode()) == len(text.encode())

    def read(self, size: int = 65536) -> bytes | None:
        """What is printed next; None if nobody has the terminal open."""
        while True:
            assert select.select([self.master], [], [], DEADLINE)[0], "nothing was printed"
            try:
                return os.read(self.master, size)
            except BlockingIOError:  # it was hung up, and is open again
                continue
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return None

    def read_until(self, marker: bytes) -> bytes:
        """Also what comes when the terminal is open again."""
        data, deadline = b"", time.monotonic() + DEADLINE
        while marker not in data:
            assert time.monotonic() < deadline, f"{marker!r} did not come: {data!r}"
            data += self.read() or b""
        return data

    def rest(self) -> bytes:
        data = b""
        while piece := self.read():
            data += piece
        return data

    def _let_go(self) -> None:
        for each in self.descriptors:
            os.close(each)
        self.descriptors = []

    def hang_up(self) -> None:
        """As a killed one does."""
        for each in (self.control, self.listener):
            if each is not None:
                each.close()
        self._let_go()
        self.control = self.listener = None


class Rig:
    """One launcher and its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "termination-log"
        self.log.touch()
        self.sidecar = Sidecar(folder)
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: list[str] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "CODESESSIONS_RUN_DIR": str(folder),
            "CODESESSIONS_TERMINATION_LOG": str(self.log),
        }

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [*self.prefix, LAUNCHER, *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        return self.process

    def shell(self, script: str, **options: Any) -> dict[str, Any]:
        """Run a script on the pty; returns the hello."""
        self.sidecar.listen()
        self.start("--", "/bin/sh", "-c", script, **options)
        return self.sidecar.hello()

    def leave(self) -> int:
        """Let it go; returns its exit code."""
        assert self.process is not None
        with contextlib.suppress(OSError):
            self.sidecar.tell(type="drained")
        return self.process.wait(DEADLINE)

    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.log.read_text())
        return found

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stderr is not None:
                self.process.stderr.close()
        self.sidecar.hang_up()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    assert LAUNCHER.exists(), "run `make launcher` first"
    made = Rig(tmp_path)
    yield made
    made.close()
    end_survivors(tmp_path)


# -- the shell and its terminal


def test_the_hello_says_who_is_there(rig: Rig) -> None:
    hello = rig.shell("echo on; read x")
    assert hello["v"] == 2
    assert (hello["state"], hello["code"], hello["signal"], hello["terminated"]) == ("running", None, None, False)
    assert abs(hello["started"] - time.time()) < 60
    assert os.getpgid(hello["pid"]) == hello["pid"]
    assert 0 <= hello["epoch"] < 1 << 63


def test_it_hands_over_the_terminal_and_a_pipe_for_each_direction(rig: Rig) -> None:
    rig.shell("read x")
    descriptors = rig.sidecar.descriptors
    assert len(descriptors) == 5
    assert termios.tcgetwinsize(descriptors[0]) == (24, 80)
    for output, start in (descriptors[1:3], descriptors[3:5]):
        os.write(start, b"x")
        assert os.read(output, 10) == b"x"
    assert not any(os.get_blocking(each) for each in descriptors)


def test_the_shell_has_a_terminal_of_its_own(rig: Rig) -> None:
    rig.shell("tty; stty size; ps -o pid=,sid=,pgid=,tpgid= -p $$; echo end")
    lines = rig.sidecar.read_until(b"end").decode().split("\r\n")
    assert lines[0].startswith("/dev/pts/")
    assert lines[1] == "24 80"
    assert len(set(lines[2].split())) == 1, "leader of its session, in front of its terminal"


def test_nothing_of_the_launcher_leaks_into_the_shell(rig: Rig) -> None:
    with (rig.folder / "secret").open("w") as secret:
        rig.shell("ls /proc/$$/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status; echo end", pass_fds=[secret.fileno()])
    text = rig.sidecar.read_until(b"end").decode()
    descriptors = [word for word in text.partition("Sig")[0].split() if word.isdigit()]
    assert descriptors == ["0", "1", "2"] or descriptors == ["0", "1", "10", "2"], (
        descriptors
    )  # dash keeps the tty at 10
    masks = dict(line.split(":\t") for line in text.split("\r\n") if line.startswith("Sig"))
    libc = 1 << 31 | 1 << 32  # signals 32 and 33 are the C library's own, and it lets nobody change them (nptl(7))
    assert {name: int(mask, 16) & ~libc for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("/bin/sh", "/bin/sh"),
        ("/bin/nosuch", "/bin/bash"),
        ("/etc/passwd", "/bin/bash"),
        ("sh", "/bin/bash"),
        ("", "/bin/bash"),
    ],
)
def test_without_words_it_chooses_a_shell(rig: Rig, given: str, chosen: str) -> None:
    rig.environment["SHELL"] = given
    rig.sidecar.listen()
    rig.start("--")
    rig.sidecar.hello()
    rig.sidecar.type("echo $SHELL $0 e''nd\n")
    assert f"{chosen} {chosen} end" in rig.sidecar.read_until(b" end\r\n").decode()


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("/bin/nosuch", 127, "exec /bin/nosuch: No such file or directory"),
        ("nosuch", 127, "exec nosuch: No such file or directory"),
        ("/etc/passwd", 126, "exec /etc/passwd: Permission denied"),
        ('/no"such\\\n', 127, "exec /no?such??: No such file or directory"),
    ],
)
def test_a_shell_that_cannot_be_started_is_told(rig: Rig, name: str, code: int, error: str) -> None:
    process = rig.start("--", name)
    assert process.wait(DEADLINE) == code
    assert rig.said() == {"shell": "not started", "error": error}
    assert process.stderr is not None
    assert process.stderr.read().decode() == f"launcher: {error}\n"


def test_typing_and_resizing_reach_the_shell(rig: Rig) -> None:
    rig.shell("stty -echo; echo on; read x; echo got $x; stty size")
    rig.sidecar.read_until(b"on\r\n")
    termios.tcsetwinsize(rig.sidecar.master, (50, 132))
    rig.sidecar.type("hello\n")
    assert rig.sidecar.rest() == b"got hello\r\n50 132\r\n"


def test_a_signal_reaches_the_job_in_front(rig: Rig) -> None:
    rig.shell("trap 'echo caught' INT; echo on; read x; echo end")
    rig.sidecar.read_until(b"on")
    rig.sidecar.tell(type="signal", signal=int(signal.SIGINT))
    rig.sidecar.read_until(b"caught")


# -- the end


@pytest.mark.parametrize("code", [0, 7, 255])
def test_it_leaves_with_the_shells_code_when_it_may(rig: Rig, code: int) -> None:
    rig.shell(f"read x; echo last; exit {code}")
    rig.sidecar.type("\n")
    assert rig.sidecar.next() == {"type": "exit", "code": code, "signal": None, "terminated": False}
    assert rig.sidecar.rest().endswith(b"last\r\n")
    assert rig.process is not None
    assert rig.process.poll() is None, "it waits until all is taken"
    assert rig.leave() == code
    assert rig.said() == {"shell": "exited", "code": code}


def test_it_does_not_leave_before_the_shell_has_ended(rig: Rig) -> None:
    rig.shell("read x; head -c 400000 /dev/zero")
    rig.sidecar.tell(type="drained")
    rig.sidecar.type("\n")
    assert len(rig.sidecar.rest().lstrip(b"\r\n")) == 400_000
    assert rig.process is not None
    assert rig.process.poll() is None
    assert rig.leave() == 0


def test_what_was_printed_before_anybody_listened_is_kept(rig: Rig) -> None:
    process = rig.start("--", "/bin/sh", "-c", f"head -c 10000 /dev/zero; echo $$ >{rig.folder}/pid; exit 3")
    until("it is at its end", lambda: (rig.folder / "pid").exists() and (rig.folder / "pid").read_text())
    shell = Path("/proc") / (rig.folder / "pid").read_text().strip()
    until("it has ended and was reaped", lambda: not shell.exists())
    assert process.poll() is None
    rig.sidecar.listen()
    hello = rig.sidecar.hello()
    assert (hello["state"], hello["code"]) == ("exited", 3)
    assert len(rig.sidecar.rest()) == 10_000
    assert rig.leave() == 3


def test_death_by_signal_is_told(rig: Rig) -> None:
    rig.shell("kill -9 $$")
    assert rig.sidecar.next() == {"type": "exit", "code": None, "signal": 9, "terminated": False}
    rig.sidecar.rest()
    assert rig.leave() == 137
    assert rig.said() == {"shell": "exited", "code": 137}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH, signal.SIGRTMIN + 3]
)
def test_every_stop_signal_ends_the_shell(rig: Rig, number: int) -> None:
    rig.shell("echo on; exec sleep 1000")
    rig.sidecar.read_until(b"on")
    assert rig.process is not None
    rig.process.send_signal(number)
    told = rig.sidecar.next()
    assert told["type"] == "exit"
    assert told["signal"] in {signal.SIGHUP, signal.SIGTERM}
    assert told["terminated"] is True
    rig.sidecar.rest()
    assert rig.leave() == 128 + told["signal"]


def test_a_shell_that_ignores_all_of_it_is_killed(rig: Rig) -> None:
    rig.shell("trap '' HUP TERM INT; echo on; while :; do sleep 1; done")
    rig.sidecar.read_until(b"on")
    assert rig.process is not None
    begun = time.monotonic()
    rig.process.terminate()
    assert rig.sidecar.next()["signal"] == signal.SIGKILL
    assert time.monotonic() - begun > 1.5
    rig.sidecar.rest()
    assert rig.leave() == 137


def test_a_job_that_outlives_the_shell_does_not_hold_the_end_back(rig: Rig) -> None:
    rig.shell("trap '' HUP; sleep 1000 & echo begun; read x; echo last; exit 3")
    rig.sidecar.read_until(b"begun")
    rig.sidecar.type("\n")
    assert rig.sidecar.next()["code"] == 3
    assert b"last\r\n" in rig.sidecar.read_until(b"last\r\n")
    assert rig.leave() == 3


def test_the_job_in_front_is_hung_up_on_when_the_shell_ends(rig: Rig) -> None:
    rig.shell("sh -c 'trap \"echo hung up; exit\" HUP; echo $$ on; kill -9 $PPID; while :; do sleep 0.01; done'")
    assert b"hung up" in rig.sidecar.rest()
    assert rig.leave() == 137


def test_orphans_are_reaped(rig: Rig) -> None:
    rig.shell("sh -c 'sleep 0.01 & echo orphan $!'; read x")
    text = rig.sidecar.read_until(b"\r\n").decode()
    orphan = int(text.split()[1])
    until("nothing is left of it", lambda: not Path(f"/proc/{orphan}").exists())


def test_a_stopped_shell_is_ended_all_the_same(rig: Rig) -> None:
    hello = rig.shell("echo on; kill -STOP $$; echo back; read x")
    rig.sidecar.read_until(b"on\r\n")
    status = Path(f"/proc/{hello['pid']}/status")
    until("it is stopped", lambda: "T (stopped)" in status.read_text())
    assert rig.process is not None
    rig.process.terminate()
    assert rig.sidecar.next()["signal"] in {signal.SIGHUP, signal.SIGTERM}, "it was woken, not killed"


def test_a_stopped_shell_goes_on_where_it_was(rig: Rig) -> None:
    hello = rig.shell("stty -echo; echo on; kill -STOP $$; read x; echo got $x; exit 3")
    rig.sidecar.read_until(b"on\r\n")
    rig.sidecar.type("typed meanwhile\n")
    status = Path(f"/proc/{hello['pid']}/status")
    until("it is stopped", lambda: "T (stopped)" in status.read_text())
    rig.sidecar.tell(type="signal", signal=int(signal.SIGCONT))
    assert rig.sidecar.rest() == b"got typed meanwhile\r\n"
    assert rig.leave() == 3


def test_the_first_process_of_a_pid_namespace_reaps_and_ends(rig: Rig) -> None:
    rig.prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*rig.prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespaces may be made here")
    listing = "while read x; do cat /proc/[0-9]*/stat; echo .; done"
    rig.shell(f"trap '' HUP TERM; (sleep 0.01 & echo orphan); echo pid $PPID; {listing}")
    rig.sidecar.read_until(b"pid 1\r\n")

    def processes() -> bytes:
        rig.sidecar.type("\n")
        return rig.sidecar.read_until(b"\r\n.\r\n")

    until("no zombie is left", lambda: b") Z " not in processes())
    assert rig.process is not None
    (first,) = Path(f"/proc/{rig.process.pid}/task/{rig.process.pid}/children").read_text().split()
    os.kill(int(first), signal.SIGTERM)
    told = rig.sidecar.next()
    assert (told["signal"], told["terminated"]) == (signal.SIGKILL, True)
    rig.sidecar.rest()
    assert rig.leave() == 137


def test_a_shell_without_its_terminal_is_left_alone(rig: Rig) -> None:
    hello = rig.shell("exec </dev/null >/dev/null 2>&1; sleep 0.3; echo back >/dev/tty; exit 4")
    assert hello["state"] == "running"
    assert rig.sidecar.read_until(b"back")
    assert rig.sidecar.next()["code"] == 4
    assert rig.leave() == 4


# -- sidecars come and go


def test_the_next_sidecar_gets_the_same_terminal_and_what_is_in_the_pipes(rig: Rig) -> None:
    first = rig.shell("stty -echo; echo on; read x; echo got $x; read y")
    rig.sidecar.read_until(b"on\r\n")
    rig.sidecar.type("a\n")
    os.write(rig.sidecar.descriptors[2], b"out")
    os.write(rig.sidecar.descriptors[4], b"in")
    rig.sidecar.hang_up()
    rig.sidecar.listen()
    second = rig.sidecar.hello()
    assert second["epoch"] == first["epoch"]
    assert os.read(rig.sidecar.descriptors[1], 100) == b"out"
    assert os.read(rig.sidecar.descriptors[3], 100) == b"in"
    assert rig.sidecar.read_until(b"\r\n") == b"got a\r\n"


def test_a_flood_waits_for_the_next_sidecar(rig: Rig) -> None:
    rig.shell("stty -opost -echo; echo on; read x; head -c 3000000 /dev/zero; exit 5")
    rig.sidecar.read_until(b"on\n")
    rig.sidecar.type("\n")
    count = 0
    while count < 1_000_000:
        count += len(rig.sidecar.read() or b"")
    rig.sidecar.hang_up()
    rig.sidecar.listen()
    rig.sidecar.hello()
    assert count + len(rig.sidecar.rest()) == 3_000_000
    assert rig.leave() == 5


def test_a_killed_sidecars_successor_is_found_at_once(rig: Rig) -> None:
    rig.shell("read x")
    seconds = []
    for _ in range(20):
        rig.sidecar.hang_up()
        rig.sidecar.listen()
        begun = time.monotonic()
        rig.sidecar.hello()
        seconds.append(time.monotonic() - begun)
    assert statistics.median(seconds) < 1, seconds


# -- the other modes


def test_usage(rig: Rig) -> None:
    for words in (["--help"], ["--install"], ["--supervise"], ["/bin/sh"]):
        process = rig.start(*words)
        assert process.wait(DEADLINE) == 2
        assert process.stderr is not None
        assert process.stderr.read().startswith(b"usage: ")
        process.stderr.close()


def test_install_copies_itself_and_waits_for_the_sidecar(rig: Rig) -> None:
    process = rig.start("--install", str(rig.folder), umask=0o077)
    copy = rig.folder / "launcher"
    until("the copy is there", copy.exists)
    assert copy.read_bytes() == LAUNCHER.read_bytes()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o755
    assert process.poll() is None
    rig.sidecar.listen()
    assert process.wait(DEADLINE) == 0
    assert rig.sidecar.listener is not None
    caller, _ = rig.sidecar.listener.accept()
    with caller:
        caller.settimeout(DEADLINE)
        assert caller.recv(100) == b"", "it says nothing"
    assert sorted(each.name for each in rig.folder.iterdir()) == ["launcher", "pty.sock", "termination-log"]


def test_install_replaces_a_launcher_that_runs(rig: Rig) -> None:
    rig.sidecar.listen()
    assert rig.start("--install", str(rig.folder)).wait(DEADLINE) == 0
    copy = rig.folder / "launcher"
    with subprocess.Popen([copy, "--supervise", "--", "sleep", "1000"]) as running:
        assert rig.process is not None
        assert rig.process.stderr is not None
        rig.process.stderr.close()
        assert rig.start("--install", str(rig.folder)).wait(DEADLINE) == 0
        running.terminate()


def test_install_says_what_is_wrong(rig: Rig) -> None:
    process = rig.start("--install", str(rig.folder / "nowhere"))
    assert process.wait(DEADLINE) == 1
    assert process.stderr is not None
    assert b"No such file or directory" in process.stderr.read()


def test_a_supervised_program_is_started_again_until_it_ends_well(rig: Rig) -> None:
    count = rig.folder / "count"
    script = f"echo x >>{count}; [ $(wc -l <{count}) -lt 4 ] && kill -9 $$; exit 0"
    assert rig.start("--supervise", "--", "/bin/sh", "-c", script).wait(DEADLINE) == 0
    assert count.read_text() == "x\n" * 4


def test_a_supervised_program_is_told_to_stop_and_its_code_is_passed_on(rig: Rig) -> None:
    script = f"trap 'exit 9' TERM; touch {rig.folder}/on; while :; do sleep 0.01; done"
    process = rig.start("--supervise", "--", "/bin/sh", "-c", script)
    until("it is on", (rig.folder / "on").exists)
    process.terminate()
    assert process.wait(DEADLINE) == 9
