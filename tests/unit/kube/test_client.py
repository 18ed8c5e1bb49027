"""The HTTP of the client, against a server that answers what a test says. The real API server is in tests/e2e."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from codesessions_kube import errors
from codesessions_kube.client import Authorization, HttpKubeClient, _socket, connect
from codesessions_kube.kinds import CODE_SESSION, POD

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Configuration:
    """As much of the `kubernetes` package's as the client reads."""

    def __init__(self) -> None:
        self.token: str | None = "Bearer one"

    async def get_api_key_with_prefix(self, _: str) -> str | None:
        return self.token


class Server:
    """Answers each request by `answer`; keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any, str | None, str | None]] = []
        self.answer: Answer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        kind = request.headers.get("Content-Type") if text else None
        authorization = request.headers.get("Authorization")
        self.seen.append((request.method, request.path, dict(request.query), body, kind, authorization))
        if self.answer is not None:
            return await self.answer(request)
        return web.json_response({"kind": "Answer"})


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[tuple[HttpKubeClient, Configuration]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    configuration = Configuration()
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
    try:
        async with HttpKubeClient(f"http://127.0.0.1:{port}", session, Authorization(configuration)) as client:
            yield client, configuration
    finally:
        await runner.cleanup()


def says(status: int, body: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


BODY = {"metadata": {"name": "cs-a"}}
PATH = "/apis/codesessions.dev/v1alpha1/namespaces/demo/codesessions"
DELETE = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda c: c.get(CODE_SESSION, "demo", "cs-a"), ("GET", f"{PATH}/cs-a", {}, None, None)),
        (
            lambda c: c.create(CODE_SESSION, "demo", BODY, manager="m"),
            ("POST", PATH, {"fieldManager": "m"}, BODY, "application/json"),
        ),
        (
            lambda c: c.apply(CODE_SESSION, "demo", BODY, manager="m"),
            ("PATCH", f"{PATH}/cs-a", {"fieldManager": "m", "force": "true"}, BODY, "application/apply-patch+yaml"),
        ),
        (
            lambda c: c.apply_status(CODE_SESSION, "demo", BODY, manager="m"),
            (
                "PATCH",
                f"{PATH}/cs-a/status",
                {"fieldManager": "m", "force": "true"},
                BODY,
                "application/apply-patch+yaml",
            ),
        ),
        (
            lambda c: c.patch(CODE_SESSION, "demo", "cs-a", BODY, manager="m"),
            ("PATCH", f"{PATH}/cs-a", {"fieldManager": "m"}, BODY, "application/merge-patch+json"),
        ),
        (
            lambda c: c.replace(CODE_SESSION, "demo", "cs-a", BODY, manager="m"),
            ("PUT", f"{PATH}/cs-a", {"fieldManager": "m"}, BODY, "application/json"),
        ),
        (
            lambda c: c.delete(CODE_SESSION, "demo", "cs-a"),
            ("DELETE", f"{PATH}/cs-a", {}, DELETE, "application/json"),
        ),
        (
            lambda c: c.delete(CODE_SESSION, "demo", "cs-a", uid="u", grace_seconds=3),
            (
                "DELETE",
                f"{PATH}/cs-a",
                {},
                {**DELETE, "preconditions": {"uid": "u"}, "gracePeriodSeconds": 3},
                "application/json",
            ),
        ),
    ],
    ids=["get", "create", "apply", "apply_status", "patch", "replace", "delete", "delete_that_one"],
)
async def test_requests(call: Callable[[HttpKubeClient], Awaitable[Any]], wanted: tuple[Any, ...]) -> None:
    server = Server()
    async with serving(server) as (client, _):
        await call(client)
    (seen,) = server.seen
    assert seen == (*wanted, "Bearer one")


async def test_a_token_is_asked_for_anew_each_time() -> None:
    server = Server()
    async with serving(server) as (client, configuration):
        await client.get(POD, "demo", "a")
        configuration.token = "Bearer two"
        await client.get(POD, "demo", "a")
        configuration.token = None
        await client.get(POD, "demo", "a")
    assert [seen[5] for seen in server.seen] == ["Bearer one", "Bearer two", None]


async def test_a_refusal_carries_the_servers_words() -> None:
    server = Server()
    server.answer = says(409, {"message": "already exists", "reason": "AlreadyExists"})
    async with serving(server) as (client, _):
        with pytest.raises(errors.ConflictError) as caught:
            await client.create(POD, "demo", {"metadata": {"name": "a"}}, manager="m")
    assert (caught.value.message, caught.value.reason) == ("already exists", "AlreadyExists")


async def test_an_answer_that_is_no_json_is_quoted() -> None:
    server = Server()

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<h1>Bad Gateway</h1>")

    server.answer = answer
    async with serving(server) as (client, _):
        with pytest.raises(errors.UnavailableError, match="Bad Gateway"):
            await client.get(POD, "demo", "a")


@pytest.mark.parametrize(("status", "alive"), [(200, True), (403, True), (500, False), (503, False)])
async def test_the_api_server_says_how_it_is(status: int, alive: bool) -> None:
    server = Server()
    server.answer = says(status, {"message": "etcd failed"})
    async with serving(server) as (client, _):
        assert await client.alive() is alive
    assert server.seen[0][1] == "/livez"


async def test_nobody_there_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = aiohttp.ClientSession()
    async with HttpKubeClient(f"http://127.0.0.1:{port}", session, Authorization(Configuration())) as client:
        assert not await client.alive()
        with pytest.raises(errors.UnavailableError):
            await client.get(POD, "demo", "a")
        with pytest.raises(errors.UnavailableError):
            await anext(aiter(client.watch(POD, "1")))


async def test_a_long_list_comes_in_pages() -> None:
    server = Server()

    async def answer(request: web.Request) -> web.StreamResponse:
        last = "continue" in request.query
        metadata = {"resourceVersion": "7"} if last else {"resourceVersion": "7", "continue": "more"}
        return web.json_response({"items": [{"metadata": {"name": "b" if last else "a"}}], "metadata": metadata})

    server.answer = answer
    async with serving(server) as (client, _):
        items, version = await client.list(POD, "demo", selector="x=y")
    assert version == "7"
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert {item["kind"] for item in items} == {"Pod"}
    assert [seen[2].get("labelSelector") for seen in server.seen] == ["x=y", "x=y"]


def streams(*blocks: bytes, hold: bool = False) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for block in blocks:
            await response.write(block)
        if hold:
            await asyncio.Event().wait()
        return response

    return answer


async def test_a_watch_yields_events_however_they_are_cut() -> None:
    server = Server()
    server.answer = streams(b'{"type":"ADDED","obj', b'ect":{"n":1}}\n{"type":"DELETED","object":{"n":2}}\n', b"\n")
    async with serving(server) as (client, _):
        events = [event async for event in client.watch(POD, "5", selector="x", seconds=9)]
    assert [event["type"] for event in events] == ["BOOKMARK", "ADDED", "DELETED"]
    assert events[0]["object"]["metadata"]["resourceVersion"] == "5"
    assert server.seen[0][2] == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "9",
        "labelSelector": "x",
    }


async def test_a_watch_from_too_old_a_version_is_gone() -> None:
    server = Server()
    server.answer = says(410, {"message": "too old resource version"})
    async with serving(server) as (client, _):
        with pytest.raises(errors.GoneError):
            await anext(aiter(client.watch(POD, "5")))


async def test_a_silent_watch_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesessions_kube.client.SILENCE_SECONDS", 0.05)
    server = Server()
    server.answer = streams(hold=True)
    async with serving(server) as (client, _):
        with pytest.raises(errors.UnavailableError, match="broke off"):
            async for _event in client.watch(POD, "5"):
                pass


async def test_connections_are_probed() -> None:
    with _socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_it_connects_by_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    async with serving(server) as (inner, _):
        named = [("clusters", "cluster", {"server": inner._base}), ("users", "user", {"token": "secret"})]
        config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
        config |= {plural: [{"name": "x", one: value}] for plural, one, value in named}
        config["contexts"] = [{"name": "c", "context": {"cluster": "x", "user": "x"}}]
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(config))
        monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
        async with await connect() as client:
            await client.get(POD, "demo", "a")
    assert server.seen[0][5] == "Bearer secret"


async def test_it_connects_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.aio.config import incluster_config

    token = tmp_path / "token"
    token.write_text("secret")
    authorities = tmp_path / "ca.crt"
    authorities.write_text("a certificate")
    monkeypatch.setattr("ssl.create_default_context", lambda **_: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authorities))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    async with await connect() as client:
        assert client._base == "https://[fd00::1]:443"
        assert await client._authorization.headers() == {"Authorization": "bearer secret"}
