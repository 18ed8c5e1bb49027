"""The launcher's side of the sidecar: its socket, what it says, and the bytes in both directions.

The protocol is in docs/architecture.md. Whatever comes from there is untrusted: any process of the workspace can
connect, and can keep a copy of what it hands over. So while one launcher is connected no other is listened to, every
number is checked, and no read or write waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesessions_sidecar.ending import Exit
from codesessions_sidecar.hello import Hello, parse, stream_socket
from codesessions_sidecar.journal import Journal
from codesessions_sidecar.log import log
from codesessions_sidecar.spool import MAX_READ, Spool, SpoolMismatchError

_AT_ONCE = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_MAX_CALLERS = 8
_MAX_PACKET = 4096
_HELLO_SECONDS = 2.0
"""How long a caller may take to say who it is."""
_FLUSH_SECONDS = 0.25
"""How long an incomplete character waits for its rest."""
_BUSY_BYTES = 2048
_GATHER_SECONDS = 0.001
"""After a read of `_BUSY_BYTES` or more, how long the next one waits, so that a flood comes in large chunks."""
_MOST_LEFT = 1 << 20
"""More than a socket of the launcher holds (bytes)."""


class Link:
    """Listens for the launcher; fills the spool and empties the journal. `changed` is called after each change."""

    def __init__(self, run_dir: Path, spool: Spool, journal: Journal, changed: Callable[[], None]) -> None:
        self.exit = Exit.unpack(spool.exit_mark)
        """How the shell ended, once all its output is in the spool."""
        self.rows, self.columns = 24, 80
        self._ended: Exit | None = self.exit
        self._path = run_dir / "pty.sock"
        self._spool, self._journal, self._changed = spool, journal, changed
        self._callers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._listener: socket.socket | None = None
        self._control: socket.socket | None = None
        self._data: socket.socket | None = None
        self._resized = False
        self._at_end = False
        self._writing = False
        self._flush: asyncio.TimerHandle | None = None
        self._gather: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether a launcher is there."""
        return self._control is not None

    @property
    def ended(self) -> bool:
        """Whether the shell has ended; its last output may still be on its way."""
        return self._ended is not None

    @property
    def unread(self) -> int:
        """Bytes that the shell has printed and that are still in the socket (unix(7), SIOCINQ)."""
        if self._data is None:
            return 0
        try:
            return int.from_bytes(fcntl.ioctl(self._data, termios.FIONREAD, bytes(4)), sys.byteorder)
        except OSError:
            return 0

    # -- connections

    def listen(self) -> None:
        """Open the socket, in place of one that a predecessor left. Raises OSError."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        listener.bind(str(self._path))
        self._path.chmod(0o660)
        listener.listen(_MAX_CALLERS)
        asyncio.get_running_loop().add_reader(listener, self._accept)
        self._listener = listener

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):  # also one that has hung up again (accept(2))
            caller, _ = self._listener.accept()
            caller.setblocking(False)
            if len(self._callers) >= _MAX_CALLERS:
                caller.close()
                return
            loop = asyncio.get_running_loop()
            self._callers[caller] = loop.call_later(_HELLO_SECONDS, self._drop, caller)
            loop.add_reader(caller, self._hear, caller)

    def _hear(self, caller: socket.socket) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(caller, _MAX_PACKET, 4)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        message = parse(packet)
        if caller is self._control:
            if not packet:
                self._drop(caller)
            elif message.get("type") == "exit":
                self._note_exit(message)
        else:
            hello = Hello.read(message) if self._control is None and len(descriptors) == 1 else None
            data = stream_socket(descriptors.pop()) if hello is not None else None
            if hello is None or data is None:
                self._drop(caller)
            else:
                self._welcome(caller, hello, data)
        for descriptor in descriptors:
            os.close(descriptor)

    def _drop(self, caller: socket.socket) -> None:
        timer = self._callers.pop(caller, None)
        if timer is None:
            return
        timer.cancel()
        asyncio.get_running_loop().remove_reader(caller)
        caller.close()
        if caller is self._control:
            log("launcher-gone")
            self._control = None
            self._take_what_is_left()
            self._release_data()

    def _welcome(self, caller: socket.socket, hello: Hello, data: socket.socket) -> None:
        try:
            self._spool.adopt(hello.epoch, hello.taken)
        except SpoolMismatchError as error:
            log("transcript-gap", detail=str(error))
            self._spool.adopt(hello.epoch, hello.taken)
        self._journal.adopt(hello.epoch, hello.given)
        self._callers[caller].cancel()
        self._control, self._data, self._at_end = caller, data, False
        self._ended = hello.ended
        if hello.ended is None:
            self.exit = None
            self._spool.exit_mark = 0
        if self._resized:
            self.resize(self.rows, self.columns)  # asked for while nobody was there
        elif hello.size is not None:
            self.rows, self.columns = hello.size
            self._spool.sizes.note(self._spool.last_seq, *hello.size)
        log("launcher-connected", taken=hello.taken, given=hello.given, ended=hello.ended is not None)
        asyncio.get_running_loop().add_reader(data, self._readable)
        self._cut()
        self.give()

    def _take_what_is_left(self) -> None:
        """A launcher that is gone may have sent its last output before."""
        left = _MOST_LEFT
        with contextlib.suppress(OSError):
            while self._data is not None and left > 0 and (count := self._spool.receive(self._data)):
                self._spool.cut()
                self._changed()
                left -= count
        self._spool.cut(whole=True)
        self._changed()

    def _release_data(self) -> None:
        for timer in (self._flush, self._gather):
            if timer is not None:
                timer.cancel()
        self._flush = self._gather = None
        if self._data is not None:
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
            return
        if _BUSY_BYTES <= count < MAX_READ // 4:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._data)
            self._gather = loop.call_later(_GATHER_SECONDS, self._read_on)
        self._cut()

    def _read_on(self) -> None:
        self._gather = None
        if self._data is not None and not self._at_end:
            asyncio.get_running_loop().add_reader(self._data, self._readable)
            self._readable()

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
        self._ended = Exit.read(message)
        self._end_if_all_is_read()

    def _end_if_all_is_read(self) -> None:
        if self._ended is None or not self._at_end:
            return
        if self.exit is None:
            log("shell-ended", code=self._ended.code, signal=self._ended.signal, terminated=self._ended.terminated)
        self.exit = self._ended
        self._spool.exit_mark = self.exit.pack()
        self._tell({"type": "drained"})
        self._changed()

    # -- input and orders

    def give(self) -> None:
        """Give the launcher what waits in the journal, as much as it takes now and the rest when it can."""
        if self._data is None:
            return
        blocked = self._writing
        while waiting := self._journal.waiting:
            try:
                count = self._data.send(self._journal.peek(), _AT_ONCE)
                self._journal.gave(count)
                if count == waiting and not blocked:
                    return
            except BlockingIOError:
                break
            except OSError:  # it is gone, which its control connection says too
                asyncio.get_running_loop().remove_writer(self._data)
                self._writing = False
                return
        loop = asyncio.get_running_loop()
        if self._journal.waiting and not self._writing:
            loop.add_writer(self._data, self.give)
            self._writing = True
        elif not self._journal.waiting and self._writing:
            loop.remove_writer(self._data)
            self._writing = False
        if blocked:
            self._changed()  # there may be room again

    def resize(self, rows: int, columns: int) -> None:
        """Set the pty's size, in characters; at once or when the launcher is there."""
        self.rows, self.columns = rows, columns
        self._resized = not self._tell({"type": "resize", "rows": rows, "cols": columns})
        if not self._resized:
            self._spool.sizes.note(self._spool.last_seq, rows, columns)

    def _tell(self, message: dict[str, Any]) -> bool:
        if self._control is None:
            return False
        try:
            self._control.send(json.dumps(message, separators=(",", ":")).encode())
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop listening and let go of everything; what is on its way stays with the launcher."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._release_data()
        self._control = None
        for caller in list(self._callers):
            self._drop(caller)
