"""The launcher's socket, where any process of the workspace may call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_sidecar import link as module
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
    assert b"".join(chunk.data for chunk in here.terminal.spool.read(0, 100)) == b"lastfirst"


GOOD = b'{"v":1,"type":"hello","epoch":1,"taken":0,"given":0,"state":"running"}'


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("kind", ["file", "datagram", "internet", "none", "two", "no hello", "no JSON", "bad numbers"])
async def test_what_is_no_launcher_is_hung_up_on(here: Place, other: Launcher, kind: str, tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("wb") as file,
        socket.socket(type=socket.SOCK_STREAM) as internet,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram,
    ):
        stream = other.theirs.fileno()
        packet, descriptors = {
            "file": (GOOD, [file.fileno()]),
            "datagram": (GOOD, [datagram.fileno()]),
            "internet": (GOOD, [internet.fileno()]),
            "none": (GOOD, []),
            "two": (GOOD, [stream, stream]),
            "no hello": (b'{"type":"exit","code":0}', [stream]),
            "no JSON": (b"[" * 4000, [stream]),
            "bad numbers": (GOOD.replace(b'"taken":0', b'"taken":-1'), [stream]),
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


async def test_a_socket_made_blocking_from_outside_does_not_stop_the_sidecar(here: Place) -> None:
    await here.shell()
    here.launcher.theirs.setblocking(True)  # the flag belongs to both copies (open(2))
    await here.print(b"x")
    here.terminal.type(b"y" * (1 << 20))  # more than the socket takes
    here.launcher.theirs.setblocking(True)
    await here.print(b"z")
    assert (await (await here.client()).call("GET", "/healthz"))[0] == 200


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
    launcher = None
    async with place(tmp_path) as first:
        launcher = first.launcher
        await first.shell()
        await first.print(b"x")
        launcher.exit(3)
        await eventually("it has ended", lambda: first.terminal.exit)
        first.terminal._link.close()
        again = Launcher(tmp_path / "run", epoch=1)
        again.mine.close()
        again.theirs.close()
        again.mine, again.theirs, again.sent = launcher.mine.dup(), launcher.theirs.dup(), launcher.sent
    async with place(tmp_path) as second:
        again.connect()
        again.hello(state="exited", code=3)
        assert await eventually("it may go", again.told) == {"type": "drained"}
        assert second.terminal.exit is not None
        assert second.terminal.spool.last_seq == 1
    again.close()


async def test_the_end_comes_behind_the_last_byte_even_if_it_was_told_before(here: Place) -> None:
    await here.shell()
    assert here.launcher.control is not None
    here.launcher.control.send(b'{"type":"exit","code":1,"signal":null}')
    await eventually("no more is typed", lambda: here.terminal._link.ended)
    assert here.terminal.exit is None
    await here.print(b"last")
    assert here.terminal.exit is None
    here.launcher.mine.shutdown(socket.SHUT_WR)
    await eventually("it has ended", lambda: here.terminal.exit)
