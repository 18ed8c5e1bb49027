"""The launcher's side of the sidecar: its socket, what it says, and the bytes to and from the pty that it hands over.

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
from functools import partial
from pathlib import Path
from typing import Any

from codesessions_sidecar.ending import Exit
from codesessions_sidecar.hello import Hello, parse
from codesessions_sidecar.journal import Journal
from codesessions_sidecar.log import log
from codesessions_sidecar.pty import DESCRIPTORS, Pty
from codesessions_sidecar.spool import MAX_READ, Chunk, Spool

_MAX_CALLERS = 8
_MAX_PACKET = 4096
_HELLO_SECONDS = 2.0
"""How long a caller may take to say who it is."""
_FLUSH_SECONDS = 0.25
"""How long an incomplete character waits for its rest."""
_BUSY_BYTES = 2048
_GATHER_SECONDS = 0.001
"""After a read of `_BUSY_BYTES` or more, how long it waits for the next ones, so that a flood comes in large chunks."""
_HUNG_SECONDS = 0.05
"""How long a pty that no process has open is left alone: while the shell lives, it may open /dev/tty again."""
_QUIET_SECONDS = 0.2
"""So long after the pty was found empty nothing of an ended shell is left in it: who holds it still has outlived it."""
_MOST_PENDING = 262144
"""More than a pty can hold: what comes behind it is not the ended shell's (bytes)."""


class Link:
    """Listens for the launcher; fills the spool and empties the journal.

    `printed` is called after output, with the chunk if it is one short chunk; `changed` after every other change.
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
        self._pty: Pty | None = None
        self._resized = False
        self._at_end = False
        self._after_end = 0
        self._writing = False
        self._flush: asyncio.TimerHandle | None = None
        self._gather: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

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
            self._take_what_is_left()
            self._release()

    def _welcome(self, caller: socket.socket, hello: Hello, pty: Pty) -> None:
        self._spool.adopt(hello.epoch, pty)
        self._journal.adopt(hello.epoch, pty)
        self._callers[caller].cancel()
        self._control, self._pty, self._at_end, self._after_end = caller, pty, False, 0
        self._ended = hello.ended
        if hello.ended is None:
            self.exit = None
            self._spool.exit_mark = 0
        if self._resized:
            self.resize(self.rows, self.columns)  # asked for while nobody was there
        elif 0 not in pty.size:
            self.rows, self.columns = pty.size
            self._spool.sizes.note(self._spool.last_seq, self.rows, self.columns)
        log("launcher-connected", epoch=hello.epoch, ended=hello.ended is not None)
        asyncio.get_running_loop().add_reader(pty.master, self._readable)
        self._cut()
        self.give()
        if hello.ended is not None:
            self._readable()  # of an empty pty nobody would be told

    def _take_what_is_left(self) -> None:
        """A shell whose launcher is gone may have printed something before."""
        with contextlib.suppress(OSError):
            while self._pty is not None and self._after_end <= _MOST_PENDING:
                self._after_end += self._spool.receive(self._pty)
                self._cut()
        self._cut(whole=True)

    def _release(self) -> None:
        for timer in (self._flush, self._gather, self._look):
            if timer is not None:
                timer.cancel()
        self._flush = self._gather = self._look = None
        if self._pty is not None:
            self._ignore()
            self._pty.close()
            self._pty, self._writing = None, False

    def _ignore(self) -> None:
        """Do not listen to the pty: one that is hung up is always ready."""
        if self._pty is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._pty.master)
            loop.remove_writer(self._pty.master)

    # -- output

    def _readable(self) -> None:
        if self._pty is None or self._at_end:
            return
        loop = asyncio.get_running_loop()
        try:
            count = self._spool.receive(self._pty)
        except BlockingIOError:
            if self._ended is not None and self._look is None:
                self._look = loop.call_later(_QUIET_SECONDS, self._finish)
            return
        except OSError:
            if self._ended is not None:
                self._finish()
            else:
                self._ignore()
                self._look = loop.call_later(_HUNG_SECONDS, self._look_again)
            return
        if self._ended is not None:
            self._after_end += count
            if self._after_end > _MOST_PENDING:
                self._finish()
                return
        if count < _BUSY_BYTES or self._spool.pending >= MAX_READ // 2:
            self._cut()
        elif self._gather is None:
            self._gather = loop.call_later(_GATHER_SECONDS, self._cut)

    def _look_again(self) -> None:
        self._look = None
        if self._pty is not None and not self._at_end:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._pty.master, self._readable)
            if self._writing:
                loop.add_writer(self._pty.master, self.give)
            self._readable()

    def _cut(self, *, whole: bool = False) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._gather is not None:
            self._gather.cancel()
            self._gather = None
        chunks = self._spool.cut(whole=whole)
        if self._spool.pending:
            self._flush = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, partial(self._cut, whole=True))
        if chunks:
            self._printed(self._spool.newest if chunks == 1 else None)

    # -- the end

    def _note_exit(self, message: dict[str, Any]) -> None:
        self._ended = Exit.read(message)
        if self._ended is not None:
            if self._look is not None:
                self._look.cancel()
            self._look_again()

    def _finish(self) -> None:
        """All that the ended shell has printed was read."""
        if self._ended is None or self._pty is None:
            return
        self._at_end = True
        self._ignore()
        self._cut(whole=True)
        if self.exit is None:
            log("shell-ended", code=self._ended.code, signal=self._ended.signal, terminated=self._ended.terminated)
        self.exit = self._ended
        self._spool.exit_mark = self.exit.pack()
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(b'{"type":"drained"}')
        self._changed()

    # -- input and orders

    def give(self) -> None:
        """Type what waits in the journal, as much as the pty takes now and the rest when it can."""
        if self._pty is None or self._at_end:
            return
        blocked, self._writing = self._writing, False
        try:
            self._journal.give(self._pty)
        except BlockingIOError:
            self._writing = True
        if not blocked and not self._writing:
            return
        loop = asyncio.get_running_loop()
        if self._writing and not blocked:
            loop.add_writer(self._pty.master, self.give)
        elif blocked and not self._writing:
            loop.remove_writer(self._pty.master)
        if blocked:
            self._changed()  # there may be room again

    def resize(self, rows: int, columns: int) -> None:
        """Set the pty's size, in characters; at once or when the launcher is there."""
        self.rows, self.columns = rows, columns
        self._resized = self._pty is None
        if self._pty is not None:
            self._pty.size = rows, columns
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
