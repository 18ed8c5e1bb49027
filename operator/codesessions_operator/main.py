"""Start, lead, work, leave when told."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import random
import signal
import sys
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from codesessions_crds.names import MANAGED_BY_LABEL, OPERATOR_MANAGER, SESSION_LABEL
from codesessions_kube import logs
from codesessions_kube.client import HttpKubeClient, KubeClient, connect
from codesessions_kube.errors import KubeError
from codesessions_kube.kinds import CLAIM, CODE_SESSION, POD
from codesessions_kube.store import Key, ObjectStore, key_of
from codesessions_kube.watchcache import WatchCache
from codesessions_oci import settings as oci
from codesessions_oci.registry import Registry
from codesessions_oci.settings import RegistrySettings

from codesessions_operator import health, sweep, watch
from codesessions_operator.apply import Applier
from codesessions_operator.apps.deployer import Deployer
from codesessions_operator.apps.policies import app_policies
from codesessions_operator.apps.settings import AppSettings, read_app_settings
from codesessions_operator.archiver import Archiver, installation_of
from codesessions_operator.lease import Leader, LeadershipLostError
from codesessions_operator.networkpolicies import NetworkPolicies
from codesessions_operator.reconcile import Reconciler
from codesessions_operator.settings import Settings, SettingsError, described, read_settings
from codesessions_operator.sidecars import Sidecars
from codesessions_operator.trim import trim_claim, trim_pod, trim_session
from codesessions_operator.workqueue import WorkQueue

WORKERS = 8
RESYNC_SECONDS = 600.0

_log = logging.getLogger(__name__)


class Operator:
    """All parts of the operator, put together."""

    def __init__(
        self,
        client: HttpKubeClient,
        settings: Settings,
        apps: AppSettings | None = None,
        registry: Registry | None = None,
    ) -> None:
        self._settings = settings
        apps = apps or AppSettings()
        self._metrics = health.Metrics()
        self._queue = WorkQueue(self._pass, failed=self._failed)
        self._sessions = ObjectStore(changed=self._session_changed, transform=trim_session)
        selector = f"{MANAGED_BY_LABEL}={OPERATOR_MANAGER},{SESSION_LABEL}"
        self._pods = WatchCache(client, POD, selector=selector, changed=self._child_changed, transform=trim_pod)
        self._claims = WatchCache(client, CLAIM, selector=selector, changed=self._child_changed, transform=trim_claim)
        self._leader = Leader(client, settings.namespace)
        self._watching = asyncio.Event()
        self._client = client
        self._leads = False
        self._registry = registry
        self._sidecars = Sidecars(settings.master_key)
        self._archiver = (
            Archiver(
                registry,
                self._sidecars,
                settings.master_key,
                changed=self._queue.add,
                count=lambda result: self._metrics.transcripts.labels(result).inc(),
            )
            if registry is not None
            else None
        )
        self._reconciler = Reconciler(
            client,
            settings,
            Applier(client, settings, settings.master_key),
            NetworkPolicies(client, settings),
            sessions=self._sessions,
            pods=self._pods,
            claims=self._claims,
            archiver=self._archiver,
        )

        url = registry.settings.url if registry is not None else None
        policies = app_policies(apps, (url.host or "", url.port or 443) if url is not None else None)
        self._deployer = Deployer(
            client,
            settings,
            apps,
            registry,
            NetworkPolicies(client, settings, policies),
            sessions=self._sessions,
            failed=self._failed,
        )

    def _session_changed(self, key: Key) -> None:
        self._queue.add(key)
        self._deployer.session_changed(key)

    def _child_changed(self, key: Key) -> None:
        namespace, name = key
        self._queue.add((namespace, name.replace("ws-", "cs-", 1)))

    async def _pass(self, key: Key) -> timedelta | None:
        with self._metrics.seconds.time():
            again = await self._reconciler.reconcile(key)
        self._metrics.passes.labels("ok").inc()
        return again

    def _failed(self, key: Key, error: Exception) -> None:
        self._metrics.passes.labels("error").inc()
        if isinstance(error, KubeError):
            _log.warning("%s/%s: %s", *key, error.message)
        else:
            _log.error("%s/%s", *key, exc_info=error)

    def _is_ready(self) -> bool:
        """One that waits is ready to take over; one that leads is ready once it sees the cluster."""
        return not self._leads or self._watching.is_set()

    def _refresh_metrics(self) -> None:
        self._metrics.queue.set(len(self._queue))
        phases = Counter((item.get("status") or {}).get("phase", "None") for item in self._sessions.items())
        self._metrics.sessions.clear()
        for phase, count in phases.items():
            self._metrics.sessions.labels(phase).set(count)

    async def run(self, stop: asyncio.Event) -> None:
        """Lead and work until `stop` is set. Raises LeadershipLostError."""
        runner = await health.serve(self._settings.address, self._metrics, self._is_ready, self._refresh_metrics)
        try:
            elect = self._settings.leader_election == "true"
            if elect:
                await _first(self._leader.acquire(), stop.wait())
            if stop.is_set():
                return
            self._leads = True
            self._metrics.leader.set(1)
            try:
                await self._work(stop, elect)
            except LeadershipLostError:
                elect = False  # there is nothing to release
                raise
            finally:
                if elect:
                    await self._leader.release()
        finally:
            await self._close()
            await runner.cleanup()

    async def _close(self) -> None:
        if self._archiver is not None:
            await self._archiver.close()
        await self._sidecars.close()

    async def _work(self, stop: asyncio.Event, elect: bool) -> None:
        parts: list[Coroutine[Any, Any, None]] = [self._pods.run(), self._claims.run(), *self._deployer.watches()]
        tasks = [asyncio.create_task(part) for part in parts]
        if elect:
            tasks.append(asyncio.create_task(self._leader.keep()))
        watcher: asyncio.Task[None] | None = None
        try:
            synced = asyncio.gather(self._pods.synced.wait(), self._claims.synced.wait(), self._deployer.synced())
            await _first(synced, stop.wait(), *tasks)
            if stop.is_set():
                return
            tasks += [asyncio.create_task(self._queue.run(WORKERS)), asyncio.create_task(self._resync())]
            tasks += [asyncio.create_task(work) for work in self._deployer.works()]
            if self._registry is not None:
                owner = installation_of(self._settings.master_key)
                tasks.append(asyncio.create_task(sweep.run(self._client, self._registry, owner)))
            watcher = asyncio.create_task(watch.run(self._sessions, self._watching, stop))
            await _first(self._watching.wait(), stop.wait(), watcher, *tasks)
            # kopf has taken the signals. Taken back, our own work ends first, and kopf need not wait for it.
            stop_on_signals(stop)
            await _first(stop.wait(), watcher, *tasks)
        finally:
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *([watcher] if watcher is not None else []), return_exceptions=True)
            await self._deployer.close()

    async def _resync(self) -> None:
        """Look at every session now and then, whatever the watches said, and forget those that are gone."""
        jitter = random.Random()  # noqa: S311
        while True:
            await asyncio.sleep(RESYNC_SECONDS * jitter.uniform(0.8, 1.2))
            try:
                await forget_gone(self._client, self._sessions)
            except KubeError as error:
                _log.warning("sessions cannot be listed: %s", error.message)
            for item in self._sessions.items():
                self._queue.add_after(key_of(item), jitter.uniform(0, 60))


async def forget_gone(client: KubeClient, sessions: ObjectStore) -> None:
    """Take out of the store what was deleted while the watch was broken: kopf does not tell of that.

    What was made after the list is newer than the list, and stays.
    """
    listed, version = set[Key](), ""
    async for page, version in client.pages(CODE_SESSION):  # noqa: B007
        listed.update(key_of(item) for item in page)
    for item in sessions.items():
        if key_of(item) not in listed:
            sessions.remove(key_of(item), int(version))


async def _first(*works: Any) -> None:
    """Return when the first of several has ended, with its exception if it has one."""
    tasks = [asyncio.ensure_future(work) for work in works]
    owned = [task for task, work in zip(tasks, works, strict=True) if task is not work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in owned:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*owned, return_exceptions=True)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def serve(settings: Settings, apps: AppSettings, where: RegistrySettings | None) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(await connect())
        registry = await stack.enter_async_context(Registry(where)) if where is not None else None
        await Operator(client, settings, apps, registry).run(stop)


def main() -> None:
    """Entry point. Exit code 2 for settings that cannot be, 1 when leadership was lost."""
    argparse.ArgumentParser(
        prog="codesessions-operator",
        description="Brings CodeSessions to what they want to be: pods, volumes, secrets, network policies.",
        epilog="\n".join([described(), described(AppSettings), oci.describe()]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings, apps, registry = read_settings(), read_app_settings(), RegistrySettings.read()
        logs.configure(settings.log_level, settings.log_format)
        _ = settings.master_key, settings.address
    except (SettingsError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    try:
        asyncio.run(serve(settings, apps, registry))
    except LeadershipLostError as error:
        _log.error("%s; leaving, so that no two operators work at once", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
