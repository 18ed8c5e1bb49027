"""The launcher's side of the sidecar: its socket, what it says, and the bytes in both directions.

Whatever comes from there is untrusted: any process of the workspace can connect. While one launcher is connected, no
other is listened to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_sidecar.journal import Journal
from codesessions_sidecar.log import log
from codesessions_sidecar.spool import Spool, SpoolMismatchError

_MAX_CALLERS = 8
_MAX_PACKET = 65536
_FLUSH_SECONDS = 0.05
"""How long an incomplete character waits for its rest."""


@dataclass(frozen=True)
class Exit:
    """How the shell ended: by exit code, or by signal."""

    code: int | None
    signal: int | None


class Link:
    """Listens for the launcher; fills the spool and empties the journal. `changed` is called after each change."""

    def __init__(self, run_dir: Path, spool: Spool, journal: Journal, changed: Callable[[], None]) -> None:
        self.exit: Exit | None = None
        self._ended_at: Exit | None = None
        self._path = run_dir / "pty.sock"
        self._spool, self._journal, self._changed = spool, journal, changed
        self._callers: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._control: socket.socket | None = None
        self._data: socket.socket | None = None
        self._at_end = False
        self._writing = False
        self._flush: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether a launcher is there."""
        return self._control is not None

    # -- connections

    def listen(self) -> None:
        """Open the socket, in place of one that a predecessor left."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        listener.bind(str(self._path))
        self._path.chmod(0o666)
        listener.listen(_MAX_CALLERS)
        asyncio.get_running_loop().add_reader(listener, self._accept)
        self._listener = listener

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(BlockingIOError):
            caller, _ = self._listener.accept()
            caller.setblocking(False)
            if len(self._callers) >= _MAX_CALLERS:
                caller.close()
                return
            self._callers.add(caller)
            asyncio.get_running_loop().add_reader(caller, self._hear, caller)

    def _hear(self, caller: socket.socket) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(caller, _MAX_PACKET, 4)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        if not packet:
            self._drop(caller)
            return
        message = _parse(packet)
        if message.get("type") == "hello" and self._control is None and len(descriptors) == 1:
            self._welcome(caller, message, descriptors.pop())
        elif message.get("type") == "exit" and caller is self._control:
            self._note_exit(message)
        elif caller is not self._control:
            self._drop(caller)
        for descriptor in descriptors:
            os.close(descriptor)

    def _drop(self, caller: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(caller)
        self._callers.discard(caller)
        caller.close()
        if caller is self._control:
            log("launcher-gone")
            self._control = None
            self._release_data()

    def _welcome(self, caller: socket.socket, message: dict[str, Any], descriptor: int) -> None:
        data = socket.socket(fileno=descriptor)
        numbers = [message.get(name) for name in ("epoch", "taken", "given")]
        good = all(isinstance(number, int) and 0 <= number < 1 << 63 for number in numbers)
        if not good or (data.family, data.type) != (socket.AF_UNIX, socket.SOCK_STREAM):
            data.close()
            self._drop(caller)
            return
        epoch, taken, given = (int(number or 0) for number in numbers)
        try:
            self._spool.adopt(epoch, taken)
        except SpoolMismatchError as error:
            log("transcript-gap", detail=str(error))
            self._spool.adopt(epoch, taken)
        self._journal.adopt(epoch, given)
        data.setblocking(False)
        self._control, self._data, self._at_end = caller, data, False
        self.exit = self._ended_at = None
        log("launcher-connected", epoch=epoch, taken=taken, given=given)
        if message.get("state") == "exited":
            self._note_exit(message)
        asyncio.get_running_loop().add_reader(data, self._readable)
        self._cut()
        self.give()

    def _release_data(self) -> None:
        if self._data is not None:
            with contextlib.suppress(OSError):  # what a dead launcher had sent is still in the socket
                while self._spool.receive(self._data):
                    pass
            self._spool.cut(whole=True)
            self._changed()
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._data)
            loop.remove_writer(self._data)
            self._data.close()
            self._data, self._writing = None, False

    # -- output

    def _readable(self) -> None:
        if self._data is None:
            return
        try:
            count = self._spool.receive(self._data)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if count == 0:
            self._at_end = True
            asyncio.get_running_loop().remove_reader(self._data)
            self._spool.cut(whole=True)
            self._end_if_all_is_read()
            self._changed()
        else:
            self._cut()

    def _cut(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._spool.cut():
            self._flush = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._cut_whole)
        self._changed()

    def _cut_whole(self) -> None:
        self._flush = None
        self._spool.cut(whole=True)
        self._changed()

    # -- the end

    def _note_exit(self, message: dict[str, Any]) -> None:
        code, number = message.get("code"), message.get("signal")
        self._ended_at = Exit(code if isinstance(code, int) else None, number if isinstance(number, int) else None)
        self._end_if_all_is_read()

    def _end_if_all_is_read(self) -> None:
        if self._ended_at is not None and self._at_end and self.exit is None:
            self.exit = self._ended_at
            log("shell-ended", code=self.exit.code, signal=self.exit.signal)
            self._tell({"type": "drained"})
            self._changed()

    # -- input and orders

    def give(self) -> None:
        """Give the launcher what waits in the journal, as much as it takes now and the rest when it can."""
        if self._data is None:
            return
        while self._journal.waiting:
            try:
                self._journal.gave(self._data.send(self._journal.peek()))
            except BlockingIOError:
                break
            except OSError:
                return
        loop = asyncio.get_running_loop()
        if self._journal.waiting and not self._writing:
            loop.add_writer(self._data, self.give)
            self._writing = True
        elif not self._journal.waiting and self._writing:
            loop.remove_writer(self._data)
            self._writing = False

    def resize(self, rows: int, columns: int) -> None:
        """Tell the pty's new size, in characters."""
        self._tell({"type": "resize", "rows": rows, "cols": columns})

    def _tell(self, message: dict[str, Any]) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps(message, separators=(",", ":")).encode())

    def close(self) -> None:
        """Stop listening and let go of everything."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._release_data()
        for caller in list(self._callers):
            self._drop(caller)


def _parse(packet: bytes) -> dict[str, Any]:
    try:
        found = json.loads(packet)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
