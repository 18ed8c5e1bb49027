"""The operator's part that deploys: caches, queue, reconciler and janitor, put together."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from codesessions_crds.names import APP_LABEL, BUILD_LABEL, MANAGED_BY_LABEL, OPERATOR_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import KubeError
from codesessions_kube.kinds import APP, BUILD, DEPLOYMENT, POD
from codesessions_kube.store import Key, Object, ObjectStore, key_of
from codesessions_kube.watchcache import WatchCache
from codesessions_oci.errors import RegistryError
from codesessions_oci.registry import Registry

from codesessions_operator.apps.reconcile import AppReconciler
from codesessions_operator.apps.records import app_of
from codesessions_operator.apps.settings import AppSettings
from codesessions_operator.apps.trim import trim_deployment, trim_pod, trim_resource
from codesessions_operator.builds import engines
from codesessions_operator.builds.builder import Builder
from codesessions_operator.builds.janitor import Janitor
from codesessions_operator.builds.source import Sources
from codesessions_operator.networkpolicies import NetworkPolicies
from codesessions_operator.settings import Settings
from codesessions_operator.workqueue import WorkQueue

WORKERS = 8
RESYNC_SECONDS = 600.0
SWEEP_DELAY_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Deployer:
    """Everything about Apps and Builds. `registry` None: only Apps of images."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        apps: AppSettings,
        registry: Registry | None,
        policies: NetworkPolicies,
        *,
        sessions: ObjectStore,
        failed: Callable[[Key, Exception], None],
    ) -> None:
        self._policies = policies
        self.queue = WorkQueue(self._pass, failed=failed)
        self._sweeps = WorkQueue(self._sweep, failed=lambda key, error: _log.warning("sweep of %s: %s", key[0], error))
        selector = f"{MANAGED_BY_LABEL}={OPERATOR_MANAGER},{APP_LABEL}"
        self.apps = WatchCache(client, APP, changed=self.queue.add, transform=trim_resource)
        self.builds = WatchCache(
            client, BUILD, changed=self._build_changed, index=_app_of_build, transform=trim_resource
        )
        self.deployments = WatchCache(
            client, DEPLOYMENT, selector=selector, changed=self.queue.add, transform=trim_deployment
        )
        self.pods = WatchCache(
            client, POD, selector=selector, changed=self._pod_changed, index=_app_of_pod, transform=trim_pod
        )
        self._builder, self._janitor = None, None
        if registry is not None:
            limits = {
                "entries": int(apps.source_entries),
                "fileBytes": int(apps.source_file_bytes),
                "totalBytes": int(apps.source_total_bytes),
            }
            builds = apps.builds(str(registry.settings.url), registry.settings.pull_prefix, settings.image_pull_policy)
            self._builder = Builder(
                client,
                registry,
                Sources(registry, settings.master_key, limits),
                apps,
                builds,
                engines.choose,
                sessions=sessions,
                pods=self.pods,
            )
            self._janitor = Janitor(registry, self.apps, self.builds)
        self._reconciler = AppReconciler(
            client,
            apps,
            settings.image_pull_policy,
            self._builder,
            apps=self.apps,
            builds=self.builds,
            deployments=self.deployments,
            pods=self.pods,
            wake=self.queue.add,
            pruned=self._pruned,
        )
        self._apps_of_builds: dict[Key, str] = {}

    @property
    def caches(self) -> tuple[WatchCache, ...]:
        """All of them."""
        return self.apps, self.builds, self.deployments, self.pods

    async def synced(self) -> None:
        """Wait until all caches were filled once."""
        await asyncio.gather(*(cache.synced.wait() for cache in self.caches))

    def watches(self) -> list[Coroutine[Any, Any, None]]:
        """What keeps the caches fresh."""
        return [cache.run() for cache in self.caches]

    def works(self) -> list[Coroutine[Any, Any, None]]:
        """What works on the queues, once everything is known."""
        return [self.queue.run(WORKERS), self._sweeps.run(1), self._resync()]

    async def close(self) -> None:
        """Stop what goes on beside."""
        if self._builder is not None:
            await self._builder.jobs.close()

    def _build_changed(self, key: Key) -> None:
        found = self.builds.get(*key)
        name = app_of(found) if found is not None else self._apps_of_builds.pop(key, "")
        if name:
            if found is not None:
                self._apps_of_builds[key] = name
            self.queue.add((key[0], name))

    def _pod_changed(self, key: Key) -> None:
        namespace, name = key
        if name.startswith("bld-"):
            self._build_changed(key)
        else:  # app-abc123-<hash>-<random>
            self.queue.add((namespace, "-".join(name.split("-")[:2])))

    def session_changed(self, key: Key) -> None:
        """A session runs, or no longer: its App may have waited for that."""
        app = (key[0], key[1].replace("cs-", "app-", 1))
        if self.apps.get(*app) is not None:
            self.queue.add(app)

    def _pruned(self, namespace: str) -> None:
        if self._janitor is not None:
            self._sweeps.add_after((namespace, ""), SWEEP_DELAY_SECONDS)

    async def _pass(self, key: Key) -> timedelta | None:
        if self.apps.get(*key) is not None:
            await self._policies.ensure(key[0])
        return await self._reconciler.reconcile(key)

    async def _sweep(self, key: Key) -> timedelta | None:
        assert self._janitor is not None  # noqa: S101 - for the type checker
        await self._janitor.sweep(key[0])
        return None

    async def _resync(self) -> None:
        """Look at every App now and then, and at what is in the registry."""
        jitter = random.Random()  # noqa: S311
        while True:
            await asyncio.sleep(RESYNC_SECONDS * jitter.uniform(0.8, 1.2))
            for item in self.apps.items():
                self.queue.add_after(key_of(item), jitter.uniform(0, 60))
            if self._janitor is not None:
                try:
                    for namespace in await self._janitor.namespaces():
                        self._pruned(namespace)
                except (RegistryError, KubeError) as error:
                    _log.warning("the registry cannot be swept: %s", error)


def _app_of_build(item: Object) -> tuple[str, ...]:
    name = app_of(item)
    return (f"{item['metadata']['namespace']}/{name}",) if name else ()


def _app_of_pod(item: Object) -> tuple[str, ...]:
    labels = item["metadata"].get("labels") or {}
    name = labels.get(APP_LABEL)
    return (f"{item['metadata']['namespace']}/{name}",) if name and BUILD_LABEL not in labels else ()
