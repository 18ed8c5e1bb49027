"""The launcher's side of the sidecar: its socket, what it says, and the pty that it hands over.

The protocol is in docs/architecture.md. Whatever comes from there is untrusted: any process of the workspace can
connect, and can keep a copy of what it hands over. So while one launcher is connected no other is listened to, every
number and descriptor is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesessions_sidecar.ending import Exit
from codesessions_sidecar.hello import Hello, parse
from codesessions_sidecar.journal import Journal
from codesessions_sidecar.log import log
from codesessions_sidecar.pty import DESCRIPTORS, Pty
from codesessions_sidecar.spool import Chunk, Spool
from codesessions_sidecar.stream import Stream

_MAX_CALLERS = 8
_MAX_PACKET = 4096
_HELLO_SECONDS = 2.0
"""How long a caller may take to say who it is."""


class Link:
    """Listens for the launcher; fills the spool and empties the journal.

    `printed` is called after output, with the chunk if it is one; `changed` after every other change.
    """

    def __init__(
        self,
        run_dir: Path,
        spool: Spool,
        journal: Journal,
        printed: Callable[[Chunk | None], None],
        changed: Callable[[], None],
    ) -> None:
        self.exit = Exit.unpack(spool.exit_mark)
        """How the shell ended, once all its output is in the spool."""
        self.rows, self.columns = 24, 80
        self._ended: Exit | None = self.exit
        self._path = run_dir / "pty.sock"
        self._spool, self._journal = spool, journal
        self._printed, self._changed = printed, changed
        self._callers: dict[socket.socket, asyncio.TimerHandle] = {}
        self._listener: socket.socket | None = None
        self._control: socket.socket | None = None
        self._stream: Stream | None = None
        self._resized = False

    @property
    def connected(self) -> bool:
        """Whether a launcher is there."""
        return self._control is not None

    @property
    def ended(self) -> bool:
        """Whether the shell has ended; its last output may still be on its way."""
        return self._ended is not None

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
            packet, descriptors, _, _ = socket.recv_fds(caller, _MAX_PACKET, DESCRIPTORS + 1)
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        message = parse(packet)
        if caller is self._control:
            for descriptor in descriptors:
                os.close(descriptor)
            if not packet:
                self._drop(caller)
            elif message.get("type") == "exit":
                self._note_exit(message)
            return
        hello = Hello.read(message) if self._control is None else None
        pty = Pty.take(descriptors)
        if hello is not None and pty is not None:
            self._welcome(caller, hello, pty)
            return
        if pty is not None:
            pty.close()
        self._drop(caller)

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
            if self._stream is not None:
                self._stream.take_what_is_left()
            self._release()

    def _welcome(self, caller: socket.socket, hello: Hello, pty: Pty) -> None:
        self._callers[caller].cancel()
        self._control = caller
        self._spool.adopt(hello.epoch, pty)
        self._journal.adopt(hello.epoch, pty)
        self._ended = hello.ended
        if hello.ended is None:
            self.exit = None
            self._spool.exit_mark = 0
        log("launcher-connected", epoch=hello.epoch, ended=hello.ended is not None)
        self._stream = Stream(
            pty, self._spool, self._journal, printed=self._printed, has_room=self._changed, finished=self._finish
        )
        if self._resized:
            self.resize(self.rows, self.columns)  # asked for while nobody was there
        elif 0 not in pty.size:
            self.rows, self.columns = pty.size
            self._spool.sizes.note(self._spool.last_seq, self.rows, self.columns)
        if hello.ended is not None:
            self._stream.end()

    def _release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    # -- the end

    def _note_exit(self, message: dict[str, Any]) -> None:
        self._ended = Exit.read(message)
        if self._ended is not None and self._stream is not None:
            self._stream.end()

    def _finish(self) -> None:
        """All that the ended shell has printed is kept."""
        if self._ended is None or self._control is None:
            return
        if self.exit is None:
            log("shell-ended", code=self._ended.code, signal=self._ended.signal, terminated=self._ended.terminated)
        self.exit = self._ended
        self._spool.exit_mark = self.exit.pack()
        with contextlib.suppress(OSError):
            self._control.send(b'{"type":"drained"}')
        self._changed()

    # -- input and orders

    def give(self) -> None:
        """Type what waits in the journal; what comes before the launcher is typed when it is there."""
        if self._stream is not None:
            self._stream.give()

    def resize(self, rows: int, columns: int) -> None:
        """Set the pty's size, in characters; at once or when the launcher is there."""
        self.rows, self.columns = rows, columns
        self._resized = self._stream is None
        if self._stream is not None:
            self._stream.pty.size = rows, columns
            self._spool.sizes.note(self._spool.last_seq, rows, columns)

    def close(self) -> None:
        """Stop listening and let go of everything; what is on its way stays with the launcher."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._release()
        self._control = None
        for caller in list(self._callers):
            self._drop(caller)
