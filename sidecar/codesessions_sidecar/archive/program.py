"""The process that makes an archive: walks once to see whether it can be made, then again to send it.

`python3 -I -S -c ... ROOT MODE ENTRIES FILE TOTAL`; descriptor 1 is the HTTP connection, 3 a pipe to the sidecar.
It is a process so that neither the terminal's event loop nor its memory knows of the work; it imports little for the
same reason. On the pipe goes one line of words between tabs: `refused CODE TEXT` (nothing was sent), `broken CODE
TEXT` (the answer was cut), or `done ENTRIES BYTES SKIPPED`.
"""

from __future__ import annotations

import os
import select
import sys
import time

from codesessions_sidecar.archive.dropped import KEY_HEAD, is_private_key
from codesessions_sidecar.archive.errors import ArchiveError
from codesessions_sidecar.archive.limits import Limits
from codesessions_sidecar.archive.walk import (
    Found,
    Walk,
    all_too_large,
    changed,
    link_target,
    open_file,
    too_large,
    unreadable,
)
from codesessions_sidecar.archive.zipwriter import ZipWriter

CONNECTION, REPORT = 1, 3
NICENESS = 10
BLOCK = 256 << 10
PIECE = 64 << 10
"""Bytes of a chunk of the answer, about."""
STALL_SECONDS = 60.0
SHARE = 0.9
"""Of one CPU. The sidecar's container may have no more than one, and the terminal's part must not be taken."""
PERIOD_SECONDS = 0.02
TRIES = 5
"""How often a small file that changes is read again."""
ERROR_MARK = b"\ncodesessions-archive-error\t"
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nTransfer-Encoding: chunked\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
)


class Output:
    """The body of the answer, in chunks (RFC 9112, section 7.1), at no more than `SHARE` of a CPU."""

    def __init__(self, connection: int, report: int) -> None:
        self._connection, self._waiting = connection, bytearray()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLOUT)
        if report >= 0:
            self._poll.register(report, 0)  # says POLLERR when the sidecar is gone
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def write(self, data: bytes | memoryview) -> None:
        """Add to the body. Raises OSError when the client is gone, or does not read."""
        self._waiting += data
        if len(self._waiting) >= PIECE:
            self.flush()
            self._rest()

    def flush(self) -> None:
        """Send what waits as one chunk."""
        if self._waiting:
            self.send(b"%x\r\n" % len(self._waiting) + self._waiting + b"\r\n")
            self._waiting.clear()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._connection, view) :]
            except BlockingIOError:
                ready = dict(self._poll.poll(STALL_SECONDS * 1000))
                if ready.get(self._connection, 0) & select.POLLOUT == 0:
                    raise TimeoutError("the client does not read, or the sidecar is gone") from None

    def _rest(self) -> None:
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        if wall < PERIOD_SECONDS:
            return
        if cpu > SHARE * wall:
            time.sleep(cpu / SHARE - wall)
        self._wall, self._cpu = time.monotonic(), time.process_time()


class Archive:
    """One archive of the tree at `root`, which the session knows by the path `name`."""

    def __init__(self, root: int, name: str, limits: Limits) -> None:
        self._root, self._name, self._limits = root, name, limits
        self._buffer = memoryview(bytearray(BLOCK))
        self._left = limits.total

    def check(self) -> tuple[int, int, int]:
        """Entries, bytes and what was skipped, from the folders alone. Raises ArchiveError."""
        entries = size = 0
        walk = Walk(self._root, self._limits)
        for found in walk:
            entries += 1
            if found.is_link:
                link_target(found, self._name)
            elif not found.is_folder:
                size += found.stat.st_size
        return entries, size, walk.skipped

    def send(self, out: ZipWriter) -> tuple[int, int, int]:
        """Write the archive; counts as `check`. Raises ArchiveError, and OSError from `out`."""
        self._left = self._limits.total
        walk = Walk(self._root, self._limits)
        for found in walk:
            if found.is_folder:
                out.folder(found.path)
            elif found.is_link:
                target = link_target(found, self._name)
                if target is not None:
                    out.link(found.path, target)
            else:
                self._file(found, out)
        out.close()
        return out.entries, self._limits.total - self._left, walk.skipped

    def _file(self, found: Found, out: ZipWriter) -> None:
        opened = open_file(found)
        if opened is None:
            return
        file, state = opened
        try:
            if state.st_size > self._limits.file:
                raise too_large(found.path, self._limits)
            self._left -= state.st_size
            if self._left < 0:
                raise all_too_large(found.path, self._limits)
            if state.st_size <= BLOCK:
                self._small(file, state, found, out)
            else:
                self._large(file, state, found, out)
        finally:
            os.close(file)

    def _small(self, file: int, state: os.stat_result, found: Found, out: ZipWriter) -> None:
        """Read into memory, again if it changed meanwhile."""
        for _ in range(TRIES):
            size = self._read(file, 0, min(state.st_size, BLOCK), found)
            now = os.fstat(file)
            if size == state.st_size and _same(state, now):
                break
            self._left += state.st_size - now.st_size
            if now.st_size > BLOCK or self._left < 0:
                raise changed(found.path)
            state = now
        else:
            raise changed(found.path)
        if self._is_key(found, size):
            self._left += size
            return
        content = out.file(found.path, executable=bool(state.st_mode & 0o111), expected=size)
        content.write(self._buffer[:size])
        content.end()

    def _large(self, file: int, state: os.stat_result, found: Found, out: ZipWriter) -> None:
        """Read as many bytes as it had at first: a log that grows is taken up to there, any other change fails."""
        at = self._read(file, 0, BLOCK, found)
        if self._is_key(found, at):
            self._left += state.st_size
            return
        content = out.file(found.path, executable=bool(state.st_mode & 0o111), expected=state.st_size)
        content.write(self._buffer[:at])
        while at < state.st_size:
            size = self._read(file, at, min(BLOCK, state.st_size - at), found)
            if size == 0:
                raise changed(found.path)
            content.write(self._buffer[:size])
            at += size
        now = os.fstat(file)
        if not _same(state, now) and now.st_size <= state.st_size:
            raise changed(found.path)
        content.end()

    def _is_key(self, found: Found, size: int) -> bool:
        return is_private_key(found.name, self._buffer[: min(size, KEY_HEAD)])

    def _read(self, file: int, at: int, most: int, found: Found) -> int:
        """Read up to `most` bytes into the buffer; fewer only at the end of the file."""
        done = 0
        try:
            while done < most:
                count = os.preadv(file, [self._buffer[done:most]], at + done)
                if count == 0:
                    break
                done += count
        except OSError as error:
            raise unreadable(found.path, error) from error
        return done


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns, one.st_ctime_ns) == (other.st_size, other.st_mtime_ns, other.st_ctime_ns)


def send(archive: Archive, out: Output) -> str:
    """The whole answer; returns the line for the sidecar."""
    try:
        out.send(HEAD)
        try:
            counts = archive.send(ZipWriter(out.write))
        except ArchiveError as error:
            # No last chunk and no central directory: nobody can take this for an archive. The line is for people.
            out.write(ERROR_MARK + f"{error.code}\t{error}\n".encode())
            out.flush()
            return f"broken\t{error.code}\t{error}"
        out.flush()
        out.send(b"0\r\n\r\n")
    except OSError as error:
        return f"broken\tclient_gone\t{error.strerror or error}"
    return "done\t{}\t{}\t{}".format(*counts)


def main(words: list[str]) -> int:
    """Exit codes: 0 done, 3 refused or broken as the line says."""
    root, mode = words[0], words[1]
    entries, file, total = (int(word) for word in words[2:5])
    os.nice(NICENESS)
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        archive = Archive(folder, root, Limits(entries=entries, file=file, total=total))
        counts = archive.check()
    except ArchiveError as error:
        line = f"refused\t{error.code}\t{error}"
    except OSError as error:
        line = f"refused\tunreadable\tthe workspace cannot be read: {error.strerror}"
    else:
        line = "done\t{}\t{}\t{}".format(*counts) if mode == "check" else send(archive, Output(CONNECTION, REPORT))
    os.write(REPORT, line.encode("utf-8", "backslashreplace")[:4000] + b"\n")
    return 0 if line.startswith("done") else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
