"""The REST API as it is served, on a real socket, in front of a kube in memory and a sidecar that does as it is told.

Every answer is held against the OpenAPI document.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast
from unittest import mock

import aiohttp
from aiohttp import web
from codesessions_api import openapi, tickets
from codesessions_api.app import Application
from codesessions_api.main import Server, configuration
from codesessions_crds.credentials import Ticket, verify_ticket, workspace_key
from codesessions_crds.names import PTY_PORT
from codesessions_oci.settings import RegistrySettings
from jsonschema import Draft202012Validator

from support.livekube import LiveKube

MASTER_KEY = b"m" * 32
BASE = "/api/v1/code-sessions"
ONE = f"{BASE}/cs_abc123"
DOCUMENT = openapi.document()


@contextlib.contextmanager
def pods_on_loopback() -> Iterator[None]:
    """The one thing in which these rigs differ from a cluster."""
    with mock.patch.object(tickets, "PODS_ON_LOOPBACK", True):
        yield


def own_address() -> str:
    """An address of loopback that nobody else uses, as the sidecar's port is given."""
    return f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"


async def until(what: str, probe: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Probe until something true comes, and return it."""
    give_up = asyncio.get_running_loop().time() + seconds
    while not (found := probe()):
        assert asyncio.get_running_loop().time() < give_up, f"waited {seconds:.0f} s in vain: {what}"
        await asyncio.sleep(0.002)
    return found


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        return str(self.json["code"])


PAGE = {
    "chunks": [{"seq": 1, "text": "hi\n", "createdAt": "2025-02-01T14:25:01Z"}],
    "lastSeq": 1,
    "oldestSeq": 1,
    "truncated": False,
    "exit": None,
}


class FakeSidecar:
    """Answers as a test wants: `answer` is a function of the request. Remembers what it was asked, and by whom."""

    def __init__(self) -> None:
        self.ip = own_address()
        self.calls: list[tuple[str, str, dict[str, str], bytes]] = []
        self.tickets: list[str] = []
        self.hung_up = 0
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self._as_usual
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{rest:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.ip, PTY_PORT).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.calls.append((request.method, request.path, dict(request.query), await request.read()))
        self.tickets.append(request.headers["Authorization"].removeprefix("Bearer "))
        try:
            return await self.answer(request)
        except asyncio.CancelledError:
            self.hung_up += 1
            raise

    async def _as_usual(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/resize":
            return web.Response(status=204)
        return web.json_response(PAGE if request.path == "/v1/output" else {"bytes": 1})

    def say(self, status: int = 200, text: str | bytes = b"") -> None:
        """Answer so from now on."""

        async def fixed(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=text)

        self.answer = fixed


class Rest:
    """The running API."""

    def __init__(
        self,
        server: Server,
        application: Application,
        kube: LiveKube,
        sidecar: FakeSidecar,
        http: aiohttp.ClientSession,
    ) -> None:
        self.server, self.application, self.kube, self.sidecar, self.http = server, application, kube, sidecar, http
        self.port = 0
        self.key = ""

    async def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None, check: bool = True, **headers: str
    ) -> Answer:
        """One request; `body` is JSON unless it is bytes. Header names are given with `_` for `-`."""
        sent = {"X-API-Key": self.key if key is None else key}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        sent = {name: value for name, value in sent.items() if value}
        skip = {"Content-Type"}
        file = None if data is None else io.BytesIO(data)
        async with self.http.request(method, url, data=file, headers=sent, skip_auto_headers=skip) as response:
            lower = {name.lower(): value for name, value in response.headers.items()}
            answer = Answer(response.status, lower, await response.read())
        assert answer.headers["x-request-id"]
        if check and method != "HEAD":
            check_documented(method, path, answer)
        return answer

    async def raw(self, data: bytes, *, end: bool = False) -> bytes:
        """Bytes in, all bytes out until the connection closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if end:
                writer.write_eof()
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def ticket(self) -> Ticket:
        """The last ticket that the sidecar was shown, checked as the sidecar does."""
        session = self.kube.objects["CodeSession", "demo", "cs-abc123"]["metadata"]
        return verify_ticket(workspace_key(MASTER_KEY, "demo", session["uid"]), self.sidecar.tickets[-1], now=0)


@contextlib.asynccontextmanager
async def serving(
    kube: LiveKube | None = None, *, request_limit: int = 4000, registry: str = "http://127.0.0.1:1", **more: Any
) -> AsyncIterator[Rest]:
    """The API with organisation `demo`, a key, and a sidecar at an address of its own; `more` is for Application."""
    kube = kube or LiveKube()
    if not kube.objects:
        await kube.add_organization("demo")
    key = await kube.add_key()
    sidecar = FakeSidecar()
    await sidecar.start()
    application = Application(
        MASTER_KEY,
        cast("Any", kube),
        pty_base_url="https://pty.test",
        request_limit=request_limit,
        registry=RegistrySettings.read({"CODESESSIONS_REGISTRY_URL": registry}),
        **more,
    )
    config = configuration(application, ("127.0.0.1", 0))
    config.load()
    server = Server(config, application)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(120)) as http:
            rest = Rest(server, application, kube, sidecar, http)
            rest.key, rest.port = key.text, server.servers[0].sockets[0].getsockname()[1]
            context = application.context
            assert context is not None
            if not kube.away:
                await until("the caches are filled", lambda: context.caches.synced and context.deploys.caches.synced)
            with pods_on_loopback():
                yield rest
    finally:
        for each in server.servers:  # as server.shutdown() does, but it sleeps for 0.1 s
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await server.lifespan.shutdown()
        await sidecar.stop()


seen_codes: Counter[str] = Counter()
"""Codes of all problems that were seen by `check_documented`."""


def check_documented(method: str, path: str, answer: Answer) -> None:
    """Whether the OpenAPI document knows of such an answer to such a call, and its form."""
    template = re.sub(r"(/api/v1/(?:code-sessions|apps|builds))/[^/]+", r"\1/{id}", path.partition("?")[0])
    item = DOCUMENT["paths"].get(template, {})
    operation = item.get(method.lower())
    if operation is None:
        assert answer.status in {404, 405}, (method, template)
        return
    documented = operation["responses"].get(str(answer.status))
    assert documented is not None, (method, template, answer.status, answer.text)
    kind = answer.headers.get("content-type", "")
    if not documented.get("content"):
        assert answer.text == b""
        return
    content = documented["content"][kind.partition(";")[0]]
    if kind.startswith(("text/", "application/x-asciicast")):
        return
    Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]}).validate(answer.json)
    if answer.status >= 400:
        seen_codes[answer.code] += 1
        assert answer.code in content["examples"], (method, template, answer.code)
        assert answer.json["requestId"] == answer.headers["x-request-id"]
        for name in ("retry-after", "www-authenticate"):
            if name in answer.headers:
                assert name in {each.lower() for each in documented["headers"]}
    for name in documented["headers"]:
        if name == "Location":
            assert answer.headers["location"]
