"""A plain viewer in any of the dialects, over the `websockets` library: what it types, and the bytes it is shown."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.conformance import Terminal

SUBPROTOCOLS = {"ttyd": "tty", "channel": "v5.channel.k8s.io", "codesessions.v1": "codesessions.v1"}
DIALECTS = ("raw", "ttyd", "channel", "terminado", "codesessions.v1")
EXACT = ("raw", "ttyd", "channel", "codesessions.v1+binary")
"""Those that show the bytes as they are; the others show text."""


class Viewer:
    """One connection. `seqs`: numbers of the chunks seen, where the dialect tells them; `told`: its other messages."""

    def __init__(
        self, terminal: Terminal, dialect: str = "raw", *, after: int | None = None, size: Any = None, **query: str
    ) -> None:
        self.dialect, _, exact = dialect.partition("+")
        given = dict(query)
        if after is not None:
            given["afterSeq"] = str(after)
        if self.dialect == "terminado":
            given["dialect"] = "terminado"
        if exact:
            given["raw"] = "binary"
        known = SUBPROTOCOLS.get(self.dialect)
        self._stack = contextlib.ExitStack()
        connection = connect(
            terminal.url + (f"?{urlencode(given)}" if given else ""),
            additional_headers=terminal.headers,
            subprotocols=[known] if known else None,  # type: ignore[list-item]
            ssl=terminal.tls,
            max_size=None,
            compression=None,
            proxy=None,
            close_timeout=1,
        )
        self._socket = self._stack.enter_context(connection)
        assert self._socket.subprotocol == known
        self.shown = bytearray()
        self.seqs: list[int] = []
        self.told: list[Any] = []
        self.ended: tuple[int | None, str] | None = None
        if self.dialect == "ttyd":
            rows, columns = size or (0, 0)
            self._socket.send(json.dumps({"AuthToken": "", "columns": columns, "rows": rows}))
        elif size:
            self.resize(*size)

    def type(self, data: bytes | str, **fields: Any) -> None:
        """Type; `fields` are for `codesessions.v1`."""
        raw = data.encode() if isinstance(data, str) else data
        if self.dialect == "raw":
            self._socket.send(raw)
        elif self.dialect in {"ttyd", "channel"}:
            self._socket.send((b"0" if self.dialect == "ttyd" else b"\0") + raw)
        elif self.dialect == "terminado":
            self._socket.send(json.dumps(["stdin", raw.decode()]))
        elif isinstance(data, bytes):
            self._send(type="input", data=base64.b64encode(data).decode(), **fields)
        else:
            self._send(type="input", text=data, **fields)

    def resize(self, rows: int, columns: int) -> None:
        """This viewer's screen has this size; raw has no word for it."""
        size = json.dumps({"Width": columns, "Height": rows, "columns": columns, "rows": rows})
        if self.dialect == "ttyd":
            self._socket.send(b"1" + size.encode())
        elif self.dialect == "channel":
            self._socket.send(b"\4" + size.encode())
        elif self.dialect == "terminado":
            self._socket.send(json.dumps(["set_size", rows, columns]))
        elif self.dialect == "codesessions.v1":
            self._send(type="resize", rows=rows, cols=columns)

    def ack(self, seq: int) -> None:
        """For `codesessions.v1`."""
        self._send(type="ack", seq=seq)

    def _send(self, **message: Any) -> None:
        self._socket.send(json.dumps(message))

    def next(self, *, seconds: float = 60) -> bool:
        """Take one message; False once the connection is closed. Raises TimeoutError."""
        try:
            message = self._socket.recv(timeout=seconds)
        except ConnectionClosed as closed:
            frame = closed.rcvd
            self.ended = (frame.code, frame.reason) if frame else (None, "")
            return False
        self._take(message)
        return True

    def _take(self, message: str | bytes) -> None:
        if self.dialect == "raw":
            assert isinstance(message, bytes)
            self.shown += message
        elif isinstance(message, bytes) and self.dialect == "codesessions.v1":
            self.seqs.append(int.from_bytes(message[:8], "big"))
            self.shown += message[8:]
        elif isinstance(message, bytes):
            output = b"0" if self.dialect == "ttyd" else b"\1"
            if message[:1] == output:
                self.shown += message[1:]
            else:
                self.told.append(message)
        else:
            self._take_json(json.loads(message))

    def _take_json(self, message: Any) -> None:
        if self.dialect == "terminado" and message[0] == "stdout":
            self.shown += message[1].encode()
        elif self.dialect == "codesessions.v1" and message["type"] == "output":
            self.shown += message["text"].encode()
            self.seqs.append(message["seq"])
        else:
            self.told.append(message)

    def until(self, marker: bytes, *, seconds: float = 60) -> bytes:
        """Everything shown, once `marker` is in it."""
        deadline, start = time.monotonic() + seconds, 0
        while self.shown.find(marker, start) < 0:
            start = max(0, len(self.shown) - len(marker))
            left = deadline - time.monotonic()
            assert left > 0, f"{marker!r} did not come; the end of what came: {self.shown[-500:]!r}"
            assert self.next(seconds=left), f"closed {self.ended} before {marker!r}: {self.shown[-500:]!r}"
        return bytes(self.shown)

    def until_told(self, kind: str, *, seconds: float = 60) -> Any:
        """The newest message of this type (`codesessions.v1`), once there is one."""
        deadline = time.monotonic() + seconds
        while True:
            for message in reversed(self.told):
                if message["type"] == kind:
                    return message
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind}: {self.told}"
            assert self.next(seconds=left), f"closed {self.ended} before {kind}"

    def rest(self) -> bytes:
        """Everything shown, once the other side has closed."""
        while self.next():
            pass
        return bytes(self.shown)

    def cut(self) -> None:
        """As a network does."""
        with contextlib.suppress(OSError):
            self._socket.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._stack.close()
