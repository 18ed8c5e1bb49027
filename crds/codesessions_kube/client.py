"""The client: dict bodies, typed errors, server-side apply, streaming watch.

Where the API server is and how to authenticate comes from the `kubernetes` package (in a pod or by kubeconfig);
requests go over one aiohttp session. Typed models are not used: reading through them drops unknown fields, and they
cost 100 MB.
"""

from __future__ import annotations

import builtins
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from codesessions_kube.errors import UnavailableError, error_of
from codesessions_kube.kinds import POD, Kind

Object = dict[str, Any]
TIMEOUT_SECONDS = 15.0
"""After this a request has failed."""
ALIVE_SECONDS = 5.0
"""After this the API server counts as silent (Kubernetes: API health endpoints)."""
PAGE = 250
"""Objects a list asks for at once."""
SILENCE_SECONDS = 75.0
"""The API server sends a bookmark about every minute; a watch that is silent for longer is dead."""
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""A peer that went away without a word is noticed after 50 s (tcp(7)); not every system has all three."""


class KubeClient(Protocol):
    """What the programs need of the API server. Every call raises `errors.KubeError`."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """One object."""

    async def list(self, kind: Kind, namespace: str | None = None, *, selector: str = "") -> tuple[list[Object], str]:
        """All objects of a kind, and the resource version to watch from. `selector` is a label selector."""

    def pages(
        self, kind: Kind, namespace: str | None = None, *, selector: str = ""
    ) -> AsyncIterator[tuple[builtins.list[Object], str]]:
        """As `list`, a page at a time: for many objects of which little is kept. The last resource version counts."""

    def watch(self, kind: Kind, version: str, *, selector: str = "", seconds: int = 300) -> AsyncIterator[Object]:
        """Events (`{"type","object"}`) after a resource version, for at most `seconds`.

        The first is a bookmark of `version` itself: it says that the API server took the watch.
        """

    async def alive(self) -> bool:
        """Whether the API server and its etcd answer within a few seconds. Raises nothing."""

    def log(
        self, namespace: str, pod: str, container: str, *, follow: bool = False, previous: bool = False, lines: int = 0
    ) -> AsyncIterator[bytes]:
        """The log of a container as the kubelet has it, in blocks; with `follow` until the container ends.

        `previous`: of the one before it was started again; `lines`: only the last ones.
        """

    async def create(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        """Create; ConflictError if it exists."""

    async def apply(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        """Server-side apply (KEP-555), taking over fields that others own."""

    async def apply_status(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        """Server-side apply of the status subresource."""

    async def patch(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        """JSON merge patch (RFC 7386)."""

    async def replace(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        """Replace; ConflictError if metadata.resourceVersion is not the current one."""

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        """Delete; with `uid` only that very object. NotFoundError if it is gone."""


class HttpKubeClient:
    """KubeClient over HTTP. Use `async with await connect()`."""

    def __init__(self, base: str, session: aiohttp.ClientSession, authorization: Authorization) -> None:
        self._base = base
        self._session = session
        self._authorization = authorization

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        return await self._request("GET", kind.path(namespace, name))

    async def list(self, kind: Kind, namespace: str | None = None, *, selector: str = "") -> tuple[list[Object], str]:
        items: list[Object] = []
        version = ""
        async for page, version in self.pages(kind, namespace, selector=selector):  # noqa: B007
            items += page
        return items, version

    async def pages(
        self, kind: Kind, namespace: str | None = None, *, selector: str = ""
    ) -> AsyncIterator[tuple[builtins.list[Object], str]]:
        query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            answer = await self._request("GET", kind.path(namespace), query=query)
            items, metadata = answer.get("items") or [], answer.get("metadata") or {}
            for item in items:
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
            yield items, str(metadata.get("resourceVersion") or "")
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    async def watch(self, kind: Kind, version: str, *, selector: str = "", seconds: int = 300) -> AsyncIterator[Object]:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
            **({"labelSelector": selector} if selector else {}),
        }
        timeout = aiohttp.ClientTimeout(total=seconds + 30, sock_connect=10, sock_read=SILENCE_SECONDS)
        try:
            async with self._session.get(
                self._base + kind.path(), params=query, headers=await self._authorization.headers(), timeout=timeout
            ) as response:
                if response.status != 200:
                    raise error_of(response.status, await _json(response))
                yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}
                pending = b""
                async for block in response.content.iter_any():
                    *lines, pending = (pending + block).split(b"\n")
                    for line in lines:
                        if line:
                            yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the watch of {kind.plural} broke off: {error!r}") from error

    async def alive(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=ALIVE_SECONDS)
        try:
            headers = await self._authorization.headers()
            async with self._session.get(f"{self._base}/livez", headers=headers, timeout=timeout) as response:
                return response.status < 500  # who may not ask, was answered
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def log(
        self, namespace: str, pod: str, container: str, *, follow: bool = False, previous: bool = False, lines: int = 0
    ) -> AsyncIterator[bytes]:
        query = {"container": container, **({"follow": "true"} if follow else {})}
        query |= {"previous": "true"} if previous else {}
        query |= {"tailLines": str(lines)} if lines else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None if follow else TIMEOUT_SECONDS)
        url, headers = self._base + POD.path(namespace, pod, "log"), await self._authorization.headers()
        try:
            async with self._session.get(url, params=query, headers=headers, timeout=timeout) as response:
                if response.status != 200:
                    raise error_of(response.status, await _json(response))
                async for block in response.content.iter_any():
                    yield block
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the log of {pod} broke off: {error!r}") from error

    async def create(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        return await self._request("POST", kind.path(namespace), query={"fieldManager": manager}, body=body)

    async def apply(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        return await self._apply(kind.path(namespace, body["metadata"]["name"]), body, manager)

    async def apply_status(self, kind: Kind, namespace: str | None, body: Object, *, manager: str) -> Object:
        return await self._apply(kind.path(namespace, body["metadata"]["name"], "status"), body, manager)

    async def patch(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        content = "application/merge-patch+json"
        query = {"fieldManager": manager}
        return await self._request("PATCH", kind.path(namespace, name), query=query, body=body, content=content)

    async def replace(self, kind: Kind, namespace: str | None, name: str, body: Object, *, manager: str) -> Object:
        return await self._request("PUT", kind.path(namespace, name), query={"fieldManager": manager}, body=body)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None, grace_seconds: int | None = None
    ) -> None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._request("DELETE", kind.path(namespace, name), body=options)

    async def _apply(self, path: str, body: Object, manager: str) -> Object:
        query = {"fieldManager": manager, "force": "true"}
        content = "application/apply-patch+yaml"  # JSON is YAML
        return await self._request("PATCH", path, query=query, body=body, content=content)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        headers = await self._authorization.headers()
        data = None
        if body is not None:
            data = json.dumps(body)
            headers["Content-Type"] = content
        try:
            async with self._session.request(
                method, self._base + path, params=query, data=data, headers=headers
            ) as response:
                answer = await _json(response)
                if response.status >= 400:
                    raise error_of(response.status, answer)
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(f"the API server does not answer: {error!r}") from error


async def _json(response: aiohttp.ClientResponse) -> Object:
    text = await response.text()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": text[:500]}


class Authorization:
    """The headers of a request; the configuration reads a token again when it is about to expire."""

    def __init__(self, configuration: Any) -> None:
        self._configuration = configuration

    async def headers(self) -> dict[str, str]:
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}


async def connect() -> HttpKubeClient:
    """A client for the cluster this process runs in, or for the one of KUBECONFIG, which comes first.

    Raises `kubernetes.aio.config.ConfigException` if there is neither.
    """
    from kubernetes.aio import client, config

    configuration = client.Configuration()
    if "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=tls, limit=64, keepalive_timeout=60, socket_factory=_socket)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    session = aiohttp.ClientSession(connector=connector, timeout=timeout, headers={"User-Agent": "codesessions"})
    return HttpKubeClient(configuration.host.rstrip("/"), session, Authorization(configuration))


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """The socket of a connection, with keep-alive probes."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
