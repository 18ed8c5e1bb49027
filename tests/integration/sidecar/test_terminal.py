"""A shell under the real launcher, typed into and read over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable

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
    rig.read_until("ready")
    assert rig.call("POST", "/v1/resize", b'{"rows": 50, "cols": 132}')[0] == 204
    rig.type("stty size\n")
    rig.read_until("50 132")


def test_job_control_works(shell: Shell) -> None:
    rig = shell("/bin/bash", "--norc", "-i")
    rig.type("sleep 100\n")
    rig.read_until("sleep 100")
    rig.type("\x1a")
    _, seen = rig.read_until("Stopped")
    rig.type("fg\n")
    _, seen = rig.read_until("sleep 100\r\n", seen)  # what bash says when the job is in front again
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
    assert rig.launcher.wait(10) == code
    assert json.loads(rig.termination_log.read_text()) == {"shell": "exited", "code": code}


def test_death_by_signal_is_told(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "kill -9 $$")
    assert rig.until_exit()["exit"] == {"code": None, "signal": 9}
    assert rig.launcher is not None
    assert rig.launcher.wait(10) == 137


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
    assert rig.launcher.wait(10) == 127
    said = json.loads(rig.termination_log.read_text())
    assert said == {"shell": "not started", "error": "exec /bin/nosuch: No such file or directory"}


def test_a_stubborn_shell_ends_all_the_same(shell: Shell) -> None:
    rig = shell("/bin/sh", "-c", "trap '' HUP TERM INT; echo on; while :; do sleep 1; done")
    rig.read_until("on")
    assert rig.launcher is not None
    rig.launcher.terminate()
    assert rig.launcher.wait(10) == 137


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


def test_memory_of_an_idle_sidecar_is_small(shell: Shell) -> None:
    rig = shell("/bin/bash", "--norc")
    rig.type("echo rea''dy\n")
    rig.read_until("ready")
    assert rig.sidecar is not None
    with open(f"/proc/{rig.sidecar.pid}/status") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    assert resident < 20 * 1024, f"{resident} KiB"
