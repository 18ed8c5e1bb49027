"""A shell under the real launcher, typed into and read over HTTP."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.sidecar import Rig, ticket, until

Shell = Callable[..., Rig]
PLAIN = ("/bin/sh", "-c", "stty -echo; exec cat")


def test_what_is_typed_is_run_on_a_real_terminal(shell: Shell) -> None:
    rig = shell("/bin/bash", "--norc")
    rig.type("tty; stty size; echo $((6*7))\n")
    text, _ = rig.read_until("42")
    assert "/dev/pts/" in text
    assert "24 80" in text


def test_a_resize_reaches_the_shell(shell: Shell) -> None:
    rig = shell("/bin/bash", "--norc")
    rig.type("echo rea''dy\n")
    _, seen = rig.read_until("ready")
    assert rig.call("POST", "/v1/resize", b'{"rows": 50, "cols": 132}')[0] == 204
    rig.type("until [ \"$(stty size)\" = '50 132' ]; do sleep 0.01; done; echo resi''zed\n")
    rig.read_until("resized", seen)


def test_job_control_works(shell: Shell) -> None:
    rig = shell("/bin/bash", "--norc", "-i")
    # It says when it is in front: a key that comes before goes to the shell, which lets it pass.
    rig.type("""sh -c 'trap "echo con""tinued" CONT; echo in""front; while :; do sleep 0.05; done'\n""")
    _, seen = rig.read_until("infront")
    rig.type("\x1a")
    _, seen = rig.read_until("Stopped", seen)
    rig.type("fg\n")
    _, seen = rig.read_until("continued", seen)
    rig.type("\x03")
    _, seen = rig.read_until("^C", seen)
    rig.type("echo interr''upted\n")
    rig.read_until("interrupted", seen)


def test_a_long_poll_returns_with_the_output_and_not_later(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "stty -echo; echo on; exec cat")
    _, seen = rig.read_until("on\r\n")
    rig.type("one\n")
    page = rig.page(seen, wait=30)
    assert "".join(chunk["text"] for chunk in page["chunks"]) == "one\r\n"


@pytest.mark.parametrize("code", [0, 7, 255])
def test_a_fast_exit_loses_nothing(shell: Shell, code: int) -> None:
    rig = shell("/bin/sh", "-c", f"echo hello; exit {code}")
    page = rig.until_exit()
    assert "".join(chunk["text"] for chunk in page["chunks"]) == "hello\r\n"
    assert page["exit"] == {"code": code, "signal": None}
    assert rig.launcher is not None
    assert rig.launcher.wait(60) == code
    assert json.loads(rig.termination_log.read_text()) == {"shell": "exited", "code": code}


def test_death_by_signal_is_told(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "kill -9 $$")
    assert rig.until_exit()["exit"] == {"code": None, "signal": 9}
    assert rig.launcher is not None
    assert rig.launcher.wait(60) == 137


def test_a_job_that_outlives_the_shell_does_not_hold_the_end_back(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "trap '' HUP; (sleep 100 &) ; echo done; exit 3")
    assert rig.until_exit()["exit"] == {"code": 3, "signal": None}


def test_input_to_an_ended_shell_is_refused(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "exit 0")
    rig.until_exit()
    status, problem = rig.call("POST", "/v1/input", b"x")
    assert (status, problem["code"]) == (409, "shell_ended")


def test_a_shell_that_does_not_exist_says_so(rig: Rig) -> None:
    rig.start_launcher("/bin/nosuch")
    assert rig.launcher is not None
    assert rig.launcher.wait(60) == 127
    said = json.loads(rig.termination_log.read_text())
    assert said == {"shell": "not started", "error": "exec /bin/nosuch: No such file or directory"}


def test_a_stubborn_shell_ends_all_the_same(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "trap '' HUP TERM INT; echo on; while :; do sleep 1; done")
    rig.read_until("on")
    assert rig.launcher is not None
    rig.launcher.terminate()
    assert rig.launcher.wait(60) == 137


def test_characters_are_never_cut(shell: Shell) -> None:
    rig = shell(
        "/bin/sh", "-c", 'stty -echo -opost; for b in 360 237 230 200; do printf "\\\\$b"; sleep 0.01; done; echo'
    )
    page = rig.until_exit()
    assert "".join(chunk["text"] for chunk in page["chunks"]).rstrip("\n") == "😀"


def test_bytes_that_are_no_text_are_replaced(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", r"printf 'a\377b\342\202'")
    assert "".join(chunk["text"] for chunk in rig.until_exit()["chunks"]) == "a\ufffdb\ufffd"


def test_a_repeated_input_is_typed_once(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "stty -echo; echo on; exec cat")
    _, seen = rig.read_until("on\r\n")
    for number in range(1, 21):
        for _ in range(1 + number % 3):
            assert rig.call("POST", f"/v1/input?inputSeq={number}", f"<{number}>".encode())[0] == 200
    rig.type("\n")
    text, _ = rig.read_until("<20>", seen)
    assert text.strip() == "".join(f"<{number}>" for number in range(1, 21))


def test_a_full_queue_refuses_all_of_what_does_not_fit(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "stty raw -echo; echo on; sleep 1000")
    rig.read_until("on")
    block = b"x" * (256 << 10)

    def refused() -> bool:
        status, problem = rig.call("POST", "/v1/input", block)
        assert status in {200, 429}
        return status == 429 and problem["code"] == "input_queue_full"

    until("the queue is full", refused)


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("", 401),
        ("x.y", 401),
        (ticket(key=b"k" * 32), 401),
        (ticket(expires=1.0), 401),
        (ticket(sid="cs_other"), 401),
        (ticket(uid="uid-2"), 401),
        (ticket(scope=["read"]), 403),
        (ticket(scope="write"), 401),
    ],
)
def test_only_a_ticket_for_this_session_opens(shell: Shell, token: str, status: int) -> None:
    rig = shell(*PLAIN)
    assert rig.call("POST", "/v1/input", b"x", token=token)[0] == status


def resident_kib(rig: Rig) -> int:
    assert rig.sidecar is not None
    lines = Path(f"/proc/{rig.sidecar.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_memory_of_an_idle_sidecar_is_small(shell: Shell) -> None:
    rig = shell("/bin/bash", "--norc")
    rig.type("echo rea''dy\n")
    rig.read_until("ready")
    assert resident_kib(rig) <= 20 * 1024


def test_openssl_and_pydantic_stay_out_of_the_process(shell: Shell) -> None:
    rig = shell(*PLAIN)
    with attach(rig):
        assert rig.sidecar is not None
        maps = Path(f"/proc/{rig.sidecar.pid}/maps").read_text().splitlines()
    libraries = {line.rpartition("/")[2].partition(".")[0] for line in maps if ".so" in line}
    assert libraries
    assert not libraries & {"libssl", "libcrypto", "_ssl", "_hashlib", "_pydantic_core", "loop"}


def attach(rig: Rig, *, receive_buffer: int | None = None) -> socket.socket:
    """A raw WebSocket from the first chunk on, after its handshake."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", rig.port))
    connection.sendall(
        "GET /v1/attach?afterSeq=0 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {rig.token}\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(1)
    assert b" 101 " in answer
    return connection


def test_viewers_that_do_not_read_slow_nobody_and_take_no_memory(shell: Shell) -> None:
    flood = "stty -opost -echo; echo on; read x; head -c 100000000 /dev/zero | tr '\\0' x; sleep 100"
    rig = shell("/bin/sh", "-c", flood)
    _, seen = rig.read_until("on\n")

    def stored() -> int:
        text = rig.call("GET", "/metrics")[1]["text"]
        found = re.search(r"^codesessions_pty_output_bytes_total (\d+)$", text, re.MULTILINE)
        assert found is not None
        return int(found[1])

    with attach(rig, receive_buffer=4096), attach(rig, receive_buffer=4096):
        before = resident_kib(rig)
        rig.type("\n")
        until("the flood is over", lambda: stored() >= 100_000_000, seconds=120)
        assert resident_kib(rig) < before + 4096
        page = rig.page(seen)
        assert page["truncated"]
        assert page["chunks"][0]["seq"] == page["oldestSeq"] > seen + 1


def test_what_was_printed_last_can_be_read_after_the_pod_was_told_to_stop(tmp_path: Path) -> None:
    rig = Rig(tmp_path, CODESESSIONS_LINGER_SECONDS="60")
    try:
        rig.start_sidecar()
        rig.start_launcher("/bin/sh", "-c", "echo last; exit 7")
        assert rig.launcher is not None
        assert rig.launcher.wait(60) == 7
        assert rig.sidecar is not None
        rig.sidecar.terminate()
        page = rig.page()
        assert page["exit"] == {"code": 7, "signal": None}
        assert rig.sidecar.poll() is None
        rig.sidecar.terminate()
        assert rig.sidecar.wait(30) == 0, "told again, it leaves"
    finally:
        rig.stop()


@pytest.mark.parametrize("running", [True, False])
def test_it_leaves_at_once_when_there_is_nothing_to_wait_for(tmp_path: Path, running: bool) -> None:
    rig = Rig(tmp_path, CODESESSIONS_LINGER_SECONDS="60")
    try:
        rig.start_sidecar()
        rig.start_launcher("/bin/sh", "-c", "trap 'exit 0' TERM; trap '' HUP; echo on; while :; do sleep 0.01; done")
        rig.read_until("on")
        assert rig.launcher is not None
        assert rig.sidecar is not None
        viewer = attach(rig)
        if not running:  # somebody deletes the pod: the shell did not end by itself
            rig.launcher.terminate()
            assert rig.launcher.wait(60) == 0
        rig.sidecar.terminate()
        assert rig.sidecar.wait(30) == 0, "it would stay for a minute"
        with viewer:
            frames = b""
            while piece := viewer.recv(65536):
                frames += piece
        expected = b"\x88\x0c\x03\xf4restarting" if running else b"\x88\x08\x03\xe8exit 0"
        assert expected in frames
    finally:
        rig.stop()


def test_a_sidecar_that_starts_after_the_end_still_says_how_it_ended(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "echo last; exit 7")
    rig.until_exit()
    assert rig.launcher is not None
    rig.launcher.wait(60)
    rig.kill_sidecar()
    rig.start_sidecar()
    assert rig.page()["exit"] == {"code": 7, "signal": None}


def test_settings_that_cannot_be_are_told(tmp_path: Path) -> None:
    environment = {**os.environ, "CODESESSIONS_KEY_FILE": str(tmp_path / "nowhere")}
    answer = subprocess.run(
        [sys.executable, "-m", "codesessions_sidecar"], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: CODESESSIONS_KEY_FILE")
    answer = subprocess.run(
        [sys.executable, "-m", "codesessions_sidecar", "--help"], capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout[:6]) == (0, "usage:")
