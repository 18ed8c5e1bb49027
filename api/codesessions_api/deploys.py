"""What the API does with Apps and Builds, apart from HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from codesessions_crds.names import (
    API_MANAGER,
    API_VERSION,
    app_of_session,
    derived_text,
    name_of_app,
    name_of_build,
    new_build_name,
)
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ConflictError, ForbiddenError, KubeError, NotFoundError
from codesessions_kube.kinds import APP, BUILD, Kind
from codesessions_kube.store import Object
from codesessions_kube.watchcache import WatchCache

from codesessions_api import deploy_views
from codesessions_api.auth import Caller
from codesessions_api.deploy_caches import DeployCaches
from codesessions_api.idempotency import Maker
from codesessions_api.misses import Misses
from codesessions_api.problems import Problem, of_kube, try_again
from codesessions_api.trace import current


class Deploys:
    """Apps and Builds of the caller's organisation. Every call raises Problem."""

    def __init__(
        self,
        client: KubeClient,
        caches: DeployCaches,
        *,
        configured: bool,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.caches, self._client, self._configured, self._now = caches, client, configured, now
        self._misses = Misses()

    async def deploy(self, caller: Caller, session: Object, key: str | None) -> tuple[Object, Object, bool]:
        """A Build of a session's files, and the App it is for. The same `key` within 24 hours: the same Build, True."""
        if not self._configured:
            detail = "This installation has no registry, so nothing can be deployed: set the chart's `registry`."
            raise Problem(501, "deploy_not_configured", detail)
        name = session["metadata"]["name"]
        app = await self._app(caller, name)
        spec = {
            "appName": app["metadata"]["name"],
            "sessionName": name,
            "userId": caller.user_id,
            "requestedAt": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        build, replayed = await self._build(caller, app, session["metadata"]["uid"], spec, key)
        if app["spec"].get("revision") is not None and deploy_views.build_status(build) not in deploy_views.FINISHED:
            app = await self._patch(caller, APP, app["metadata"]["name"], {"spec": {"revision": None}})
        return app, build, replayed

    async def _app(self, caller: Caller, session: str) -> Object:
        """The one App of a session, made now or there already."""
        name = app_of_session(session)
        metadata = {"name": name, "namespace": caller.namespace}
        body = {"apiVersion": API_VERSION, "kind": APP.kind, "metadata": metadata, "spec": {"sessionName": session}}
        found = self.caches.apps.get(caller.namespace, name)
        try:
            if found is None:
                found = await self._client.create(APP, caller.namespace, body, manager=API_MANAGER)
                self.caches.apps.put(found)
        except (ConflictError, ForbiddenError) as error:  # a quota that is used up refuses what is there already
            found = await self._read(APP, self.caches.apps, caller.namespace, name)
            if found is None and isinstance(error, ForbiddenError):
                raise of_kube(error) from error
        except KubeError as error:
            raise of_kube(error) from error
        if found is None or found["metadata"].get("deletionTimestamp"):
            raise try_again(503, "kubernetes_unavailable", "The App is being deleted.")
        if found["spec"].get("sessionName") != session:
            raise Problem(409, "app_taken", f"App {name} exists and is not of this session: delete it first.")
        return found

    async def _build(self, caller: Caller, app: Object, uid: str, spec: Object, key: str | None) -> tuple[Object, bool]:
        owner = {
            "apiVersion": API_VERSION,
            "kind": APP.kind,
            "name": app["metadata"]["name"],
            "uid": app["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }

        async def write(name: str, more: Object) -> Object:
            metadata = {
                **more,
                "name": name,
                "namespace": caller.namespace,
                "ownerReferences": [owner],
                "annotations": current.get().annotations,
            }
            body = {"apiVersion": API_VERSION, "kind": BUILD.kind, "metadata": metadata, "spec": spec}
            made = await self._client.create(BUILD, caller.namespace, body, manager=API_MANAGER)
            self.caches.builds.put(made)
            return made

        async def read(name: str) -> Object | None:
            return await self._read(BUILD, self.caches.builds, caller.namespace, name)

        maker = Maker(write, read, self._now)
        if key is None:
            return await maker.fresh(new_build_name), False
        return await maker.once(("deploy", caller.namespace, uid, key), build_of_key)

    async def app(self, caller: Caller, identity: str) -> Object:
        """An App, 404 without it."""
        name = name_of_app(identity)
        found = await self._find(APP, self.caches.apps, caller.namespace, name) if name else None
        if found is None:
            raise Problem(404, "app_not_found", f"There is no app {identity[:64]!r}.")
        return found

    async def build(self, caller: Caller, identity: str) -> Object:
        """A Build, 404 without it."""
        name = name_of_build(identity)
        found = await self._find(BUILD, self.caches.builds, caller.namespace, name) if name else None
        if found is None:
            raise Problem(404, "build_not_found", f"There is no build {identity[:64]!r}.")
        return found

    async def delete(self, caller: Caller, identity: str) -> None:
        """Delete an App; its pods, Builds and artifacts follow."""
        app = await self.app(caller, identity)
        name, uid = app["metadata"]["name"], app["metadata"]["uid"]
        try:
            await self._client.delete(APP, caller.namespace, name, uid=uid)
        except (NotFoundError, ConflictError):
            return
        except KubeError as error:
            raise of_kube(error) from error

    async def roll_back(self, caller: Caller, identity: str, revision: int) -> Object:
        """Run a revision that is kept."""
        app = await self.app(caller, identity)
        known = [each["number"] for each in app["status"].get("revisions") or ()]
        if revision not in known:
            there = ", ".join(map(str, known)) or "none"
            raise Problem(404, "revision_not_found", f"There is no revision {revision}; there are: {there}.")
        return await self._patch(caller, APP, app["metadata"]["name"], {"spec": {"revision": revision}})

    async def cancel(self, caller: Caller, identity: str) -> Object:
        """Stop a Build. One that was cancelled already stays so."""
        build = await self.build(caller, identity)
        if build["spec"].get("cancelled"):
            return build
        status = deploy_views.build_status(build)
        if status in deploy_views.FINISHED:
            raise Problem(409, "build_finished", f"The build is {status}; there is nothing to cancel.")
        return await self._patch(caller, BUILD, build["metadata"]["name"], {"spec": {"cancelled": True}})

    async def until_finished(self, build: Object, seconds: float) -> Object:
        """Wait until a Build has ended, at most `seconds`; returns it as it is then."""
        metadata = build["metadata"]
        found = await self.caches.builds.wait_for(
            metadata["namespace"],
            metadata["name"],
            lambda item: item is None or deploy_views.build_status(item) in deploy_views.FINISHED,
            seconds=seconds,
        )
        return found or build

    async def _patch(self, caller: Caller, kind: Kind, name: str, patch: Object) -> Object:
        cache = self.caches.apps if kind is APP else self.caches.builds
        try:
            changed = await self._client.patch(kind, caller.namespace, name, patch, manager=API_MANAGER)
        except NotFoundError as error:
            raise Problem(404, f"{kind.kind.lower()}_not_found", f"{name} is gone.") from error
        except KubeError as error:
            raise of_kube(error) from error
        cache.put(changed)
        return changed

    async def _find(self, kind: Kind, cache: WatchCache, namespace: str, name: str) -> Object | None:
        """What a caller names, who may name what never was."""
        found = cache.get(namespace, name)
        if found is not None:
            return found
        return await self._misses.ask(namespace, name, lambda: self._read(kind, cache, namespace, name))

    async def _read(self, kind: Kind, cache: WatchCache, namespace: str, name: str) -> Object | None:
        """From the cache, or, as another replica may have made it a moment ago, from the API server."""
        found = cache.get(namespace, name)
        if found is not None:
            return found
        try:
            found = await self._client.get(kind, namespace, name)
        except NotFoundError:
            return None
        except KubeError as error:
            raise of_kube(error) from error
        cache.put(found)
        return cache.get(namespace, name) or found


def build_of_key(digest: bytes) -> str:
    """The name of a Build that an Idempotency-Key stands for."""
    return f"bld-{derived_text(digest)}"
