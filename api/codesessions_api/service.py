"""What the API does with sessions, apart from HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from codesessions_crds.names import API_MANAGER, API_VERSION, derived_text, name_of_session, new_session_name
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import KubeError, NotFoundError
from codesessions_kube.kinds import CODE_SESSION
from codesessions_kube.store import Object

from codesessions_api import room, views
from codesessions_api.auth import Caller
from codesessions_api.bodies import CreateSession
from codesessions_api.caches import Caches
from codesessions_api.idempotency import Maker, fingerprint
from codesessions_api.misses import Misses
from codesessions_api.problems import Problem, not_found, of_kube, try_again
from codesessions_api.trace import current

START_TIMEOUT_SECONDS = 600
"""Many sessions made at once wait for one another's volumes and image pulls; a caller's patience is its own affair."""


class Service:
    """Sessions of the caller's organisation. Every call raises Problem."""

    def __init__(
        self, client: KubeClient, caches: Caches, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client, self._caches, self.now = client, caches, now
        self._misses = Misses()

    async def create(self, caller: Caller, wanted: CreateSession, key: str | None = None) -> tuple[Object, bool]:
        """Write a new session, as nothing but a resource; the operator does the rest.

        The same user with the same `key` within 24 hours: the same session, and True.
        """
        spec = {
            "projectName": wanted.project_name,
            "projectDescription": wanted.project_description,
            "userId": caller.user_id,
            "startTimeoutSeconds": START_TIMEOUT_SECONDS,
        }

        async def write(name: str, more: Object) -> Object:
            notes = {**more.get("annotations", {}), **current.get().annotations}
            metadata = {**more, "name": name, "namespace": caller.namespace, "annotations": notes}
            body = {"apiVersion": API_VERSION, "kind": CODE_SESSION.kind, "metadata": metadata, "spec": spec}
            return await self._client.create(CODE_SESSION, caller.namespace, body, manager=API_MANAGER)

        async def read(name: str) -> Object | None:
            return await self._read(caller.namespace, name)

        maker, replayed = Maker(write, read, self.now), False
        try:
            if key is None:
                made = await maker.fresh(new_session_name)
            else:
                parts = ("session", caller.namespace, caller.user_id, key)
                made, replayed = await maker.once(parts, session_of_key, fingerprint(wanted))
        except Problem as problem:
            raise room.advised(problem, self._caches.sessions.items(caller.namespace)) from problem
        self._caches.sessions.put(made)
        return made, replayed

    async def get(self, caller: Caller, session_id: str) -> Object:
        """A session of the caller's organisation, 404 without it."""
        name = name_of_session(session_id)
        if name is None:
            raise not_found(session_id)
        found = self._caches.sessions.get(caller.namespace, name)
        if found is None:
            found = await self._misses.ask(caller.namespace, name, lambda: self._ask(caller.namespace, name))
        if found is None:
            raise not_found(session_id)
        return found

    async def _ask(self, namespace: str, name: str) -> Object | None:
        """Another replica may have made it a moment ago."""
        try:
            found = await self._read(namespace, name)
        except KubeError as error:
            raise of_kube(error) from error
        if found is not None:
            self._caches.sessions.put(found)
        return found

    async def _read(self, namespace: str, name: str) -> Object | None:
        """From the API server. Raises KubeError."""
        try:
            return await self._client.get(CODE_SESSION, namespace, name)
        except NotFoundError:
            return None

    async def complete(self, caller: Caller, session_id: str) -> None:
        """Stop a session for good; its record stays. Once it has ended this does nothing."""
        resource = await self.get(caller, session_id)
        if views.status_of(resource) in views.FINISHED:
            return
        patch = {"spec": {"state": "Completed"}}
        name = resource["metadata"]["name"]
        try:
            changed = await self._client.patch(CODE_SESSION, caller.namespace, name, patch, manager=API_MANAGER)
        except NotFoundError as error:
            raise not_found(session_id) from error
        except KubeError as error:
            raise of_kube(error) from error
        self._caches.sessions.put(changed)

    async def until_started(self, resource: Object, seconds: float) -> Object:
        """Wait until a session no longer is creating, at most `seconds`; returns it as it is then."""
        if views.status_of(resource) != "creating":
            return resource
        metadata = resource["metadata"]
        found = await self._caches.sessions.wait_for(
            metadata["namespace"],
            metadata["name"],
            lambda item: item is None or views.status_of(item) != "creating",
            seconds=seconds,
        )
        return found or resource

    def page(
        self, caller: Caller, *, limit: int, cursor: str | None, status: str | None
    ) -> tuple[list[Object], str | None]:
        """A page of the organisation's sessions, newest first, and the next page's cursor."""
        items = self._caches.sessions.items(caller.namespace)
        if status is not None:
            items = [item for item in items if views.status_of(item) == status]
        return views.page_of(items, limit, cursor)


def check_running(resource: Object) -> None:
    """Raises Problem 409 for a session at whose terminal nothing can be done."""
    status = views.status_of(resource)
    if status in views.FINISHED:
        raise Problem(409, "session_completed", f"The session is {status}; create a new one.")
    if status != "running":
        message = views.ready_of(resource).get("message") or "The workspace is being started."
        raise try_again(409, "session_not_running", f"The session is {status}: {message}")


def session_of_key(digest: bytes) -> str:
    """The name of a session that an Idempotency-Key stands for."""
    return f"cs-{derived_text(digest)}"
