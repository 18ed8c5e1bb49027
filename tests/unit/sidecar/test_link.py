"""The launcher's socket, where any process of the workspace may call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_sidecar import link as module
from codesessions_sidecar import stream
from unit.sidecar.doubles import Launcher, Place, eventually, place


@pytest.fixture
def other(here: Place) -> Iterator[Launcher]:
    """Somebody else who calls."""
    made = Launcher(here.run_dir, epoch=2)
    yield made
    made.close()


async def test_the_socket_is_for_the_pods_own_user(here: Place) -> None:
    mode = (here.run_dir / "pty.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


async def test_a_caller_without_a_word_is_nobody(here: Place, other: Launcher) -> None:
    for _ in range(20):
        other.connect().close()
        await asyncio.sleep(0)
    await here.shell()
    await here.print(b"x")


async def test_a_second_launcher_is_refused_while_the_first_is_there(here: Place, other: Launcher) -> None:
    await here.shell()
    other.connect()
    other.hello()
    assert await eventually("it is hung up on", lambda: other.told() == {})
    other.print(b"false")
    await here.print(b"true")
    assert here.terminal.spool.read(0, 100)[0].data == b"true"
    assert here.terminal.connected


async def test_another_may_come_when_the_first_is_gone(here: Place, other: Launcher) -> None:
    await here.shell()
    here.launcher.print(b"last")
    assert here.launcher.control is not None
    here.launcher.control.close()
    await eventually("it is gone", lambda: not here.terminal.connected)
    other.connect()
    other.hello()
    await eventually("the other is heard", lambda: here.terminal.connected)
    before = here.terminal.spool.last_seq
    other.print(b"first")
    await eventually("its output", lambda: here.terminal.spool.last_seq > before)
    assert here.text() == b"lastfirst"


GOOD = b'{"v":2,"type":"hello","epoch":1,"state":"running"}'


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    "kind",
    ["files", "sockets", "a terminal's other side", "no pipes", "none", "four", "no hello", "no JSON", "bad epoch"],
)
async def test_what_is_no_launcher_is_hung_up_on(here: Place, other: Launcher, kind: str, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file, socket.socket(type=socket.SOCK_STREAM) as internet:
        good = other.descriptors
        packet, descriptors = {
            "files": (GOOD, [file.fileno()] * 5),
            "sockets": (GOOD, [internet.fileno()] * 5),
            "a terminal's other side": (GOOD, [other.shell, *good[1:]]),
            "no pipes": (GOOD, [good[0]] * 5),
            "none": (GOOD, []),
            "four": (GOOD, good[:4]),
            "no hello": (b'{"type":"exit","code":0}', good),
            "no JSON": (b"[" * 4000, good),
            "bad epoch": (GOOD.replace(b'"epoch":1', b'"epoch":-1'), good),
        }[kind]
        before = open_files()
        control = other.connect()
        if descriptors:
            socket.send_fds(control, [packet], descriptors)
        else:
            control.send(packet)
        assert await eventually("it is hung up on", lambda: other.told() == {})
        assert open_files() == before + 1, "nothing that was handed over stays open"
    await here.shell()


async def test_callers_who_say_nothing_do_not_shut_the_launcher_out(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HELLO_SECONDS", 0.05)
    silent = [Launcher(here.run_dir) for _ in range(20)]
    for each in silent:
        with contextlib.suppress(BlockingIOError):
            each.connect()
        await asyncio.sleep(0)

    def comes_through() -> bool:
        if here.launcher.control is None or here.launcher.told() == {}:
            with contextlib.suppress(OSError):
                here.launcher.connect()
                here.launcher.hello()
        return here.terminal.connected

    await eventually("the launcher comes through", comes_through)
    for each in silent:
        each.close()


async def test_an_incomplete_character_is_shown_when_the_rest_does_not_come(here: Place) -> None:
    await here.shell()
    await here.print(b"a\xe2\x82")
    await eventually("the rest is cut", lambda: here.terminal.spool.last_seq == 2)
    assert [chunk.data for chunk in here.terminal.spool.read(0, 100)] == [b"a", b"\xe2\x82"]


async def test_how_it_ended_outlives_the_sidecar_but_not_the_pod(tmp_path: Path) -> None:
    async with place(tmp_path) as first:
        await first.shell()
        first.launcher.exit(7)
        ended = await eventually("it has ended", lambda: first.terminal.exit)
    async with place(tmp_path) as second:
        assert second.terminal.exit == ended
    (tmp_path / "run" / "instance").unlink()
    async with place(tmp_path) as third:
        assert third.terminal.exit is None


async def test_a_launcher_that_was_not_let_go_comes_again_and_is_let_go(tmp_path: Path) -> None:
    async with place(tmp_path) as first:
        await first.shell()
        await first.print(b"x")
        again = first.launcher.copy()
        again.hang_up()
        first.launcher.exit(3)
        await eventually("it has ended", lambda: first.terminal.exit)
        again.control = None
    async with place(tmp_path, again) as second:
        again.connect()
        again.hello(state="exited", code=3)
        assert await eventually("it may go", again.told) == {"type": "drained"}
        assert second.terminal.exit is not None
        assert second.terminal.spool.last_seq == 1


async def test_the_end_comes_behind_the_last_byte_even_if_it_was_told_before(here: Place) -> None:
    await here.shell()
    here.launcher.tell_exit(1)
    await eventually("no more is typed", lambda: here.terminal._link.ended)
    assert here.terminal.exit is None
    await here.print(b"last")
    assert here.terminal.exit is None
    here.launcher.hang_up()
    await eventually("it has ended", lambda: here.terminal.exit)
    assert here.text() == b"last"


async def test_who_holds_the_terminal_longer_than_the_shell_does_not_hold_the_end_back(here: Place) -> None:
    await here.shell()
    here.launcher.print(b"last")
    here.launcher.tell_exit(1)
    await eventually("it has ended", lambda: here.terminal.exit)
    assert here.text() == b"last"
    assert here.launcher.told() == {"type": "drained"}
    here.launcher.print(b"a job's")
    assert here.launcher.control is not None
    here.launcher.control.close()
    await eventually("the launcher is gone", lambda: not here.terminal.connected)
    assert here.text() == b"last"


async def test_who_floods_the_terminal_after_the_shell_does_not_hold_the_end_back(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_MOST_PENDING", 100_000)
    await here.shell()
    here.launcher.print(b"last")
    here.launcher.tell_exit(1)

    def flood_until_the_end() -> bool:
        here.launcher.print(b"x" * 4000)
        return here.terminal.exit is not None

    await eventually("it has ended", flood_until_the_end)
    assert here.text().startswith(b"last")


async def test_a_terminal_that_nobody_has_open_for_a_while_is_waited_for(here: Place) -> None:
    await here.shell()
    await here.print(b"one ")
    here.launcher.hang_up()
    await here.cycles()
    here.launcher.open_again()
    await here.print(b"two")
    assert (here.text(), here.terminal.exit) == (b"one two", None)
    here.terminal.type(b"x")
    assert await here.typed(1) == b"x"


async def test_what_the_terminal_does_not_take_is_typed_when_it_does(here: Place) -> None:
    await here.shell()
    data = bytes(range(256)) * 2000
    here.terminal.type(data)
    assert await here.typed(len(data)) == data
    here.terminal.type(b"more")
    assert await here.typed(4) == b"more"


async def test_a_resize_before_the_shell_comes_is_not_forgotten(here: Place) -> None:
    here.terminal.resize(50, 132)
    await here.shell()
    assert os.get_terminal_size(here.launcher.shell) == (132, 50)
    here.terminal.resize(40, 100)
    assert os.get_terminal_size(here.launcher.shell) == (100, 40)


async def test_the_size_the_terminal_has_is_asked_for(here: Place) -> None:
    termios.tcsetwinsize(here.launcher.master, (11, 22))
    await here.shell()
    assert here.terminal.size == (11, 22)
