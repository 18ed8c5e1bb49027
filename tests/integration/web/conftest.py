from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from codesessions_dev import web
from playwright.sync_api import Browser
from support.browser import WebTerminal, chromium
from support.sidecar import LAUNCHER, SESSION_ID, Rig
from support.webgateway import WORKSPACE_KEY, WebGateway
from unit.launcher.survivors import end_survivors


@pytest.fixture(scope="session")
def files() -> Path:
    """The page's files, built."""
    return web.ensure()


@pytest.fixture(
    scope="module"
)  # while it is open, this thread has an event loop, which asynchronous tests would not bear
def opened() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A shell that prints a short prompt, and its sidecar."""
    assert LAUNCHER.exists(), "run `make launcher` first"
    made = Rig(tmp_path, PS1="$ ", ENV="", HOME=str(tmp_path), TERM="xterm-256color")
    (tmp_path / "key").write_text(WORKSPACE_KEY.hex())
    made.start_sidecar()
    made.start_launcher("/bin/bash", "--norc")
    monkeypatch.setattr("codesessions_api.tickets.PTY_PORT", made.port)
    yield made
    made.stop()
    end_survivors(tmp_path)


@pytest.fixture
def gateway(files: Path) -> Iterator[WebGateway]:
    with WebGateway(files) as made:
        yield made


@pytest.fixture
def terminal(opened: Browser, gateway: WebGateway) -> Iterator[Callable[..., WebTerminal]]:
    """Opens the page, at the gateway or at another port; at the end the console must be clean."""
    made: list[WebTerminal] = []

    def open_it(port: int | None = None, query: str = "", **options: object) -> WebTerminal:
        url = f"http://127.0.0.1:{port or gateway.port}/{SESSION_ID}{query}"
        found = WebTerminal(opened, url, **options)
        made.append(found)
        return found.open()

    yield open_it
    for each in made:
        each.close()
