"""A TCP proxy that can lose its connections, refuse new ones, or swallow what passes: networks as they are."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading

RESET = struct.pack("ii", 1, 0)


class FaultyProxy:
    """Forwards a port of loopback to another. Use as a context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._mode = "forward"
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Reset every connection."""
        with self._lock:
            for side in self._pairs:
                with contextlib.suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                side.close()
            self._pairs.clear()

    def refuse(self) -> None:
        """Reset every connection, and new ones too."""
        self._mode = "refuse"
        self.drop()

    def swallow(self) -> None:
        """Connections stay, and nothing passes."""
        self._mode = "swallow"

    def forward(self) -> None:
        """Everything passes again."""
        self._mode = "forward"

    def _serve(self) -> None:
        while not self._stopping:
            with self._lock, selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                for side in self._pairs:
                    selector.register(side, selectors.EVENT_READ)
                ready = [key.fileobj for key, _ in selector.select(0.02)]
                for found in ready:
                    assert isinstance(found, socket.socket)
                    self._accept() if found is self._listener else self._pass(found)

    def _accept(self) -> None:
        inner, _ = self._listener.accept()
        if self._mode == "refuse":
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            inner.close()
            return
        outer = socket.create_connection(("127.0.0.1", self._target))
        self._pairs[inner], self._pairs[outer] = outer, inner

    def _pass(self, side: socket.socket) -> None:
        other = self._pairs.get(side)
        if other is None:
            return
        try:
            data = side.recv(65536)
            if data and self._mode == "forward":
                other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (side, other):
                self._pairs.pop(each, None)
                each.close()
