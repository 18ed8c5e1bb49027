"""The build container's program: `CODESESSIONS_BUILD_ORDER` says what to build, `CODESESSIONS_REGISTRY_*` where.

The log goes to standard output, the result as JSON to the termination log. Exit codes: 0 an image; 1 it cannot be
built; 75 it may work later (EX_TEMPFAIL, sysexits(3)).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codesessions_oci.errors import RefusedError, RegistryError, UnavailableError
from codesessions_oci.registry import Registry
from codesessions_oci.settings import RegistrySettings
from yarl import URL

from codesessions_builder import cache, image, provenance, publish
from codesessions_builder.complaints import complaint
from codesessions_builder.detect import detect
from codesessions_builder.errors import BuildError
from codesessions_builder.image import Start
from codesessions_builder.languages import static
from codesessions_builder.layer import Layer, time_of
from codesessions_builder.order import APP_DIR, VARIABLE, Order
from codesessions_builder.plan import Plan
from codesessions_builder.runner import Runner
from codesessions_builder.tree import Tree
from codesessions_builder.unpack import Limits, unpack

TERMINATION_LOG = "/dev/termination-log"
_RESULT_LIMIT = 4000
"""Bytes; the kubelet keeps 4096."""
_CA_FILE = "CODESESSIONS_REGISTRY_CA_FILE"
_STEP_ENV = {
    "HOME": "/tmp/home",  # noqa: S108 - a volume of the runner alone
    "CI": "1",
    "SOURCE_DATE_EPOCH": "315532800",
    "PIP_RETRIES": "2",
    "PIP_TIMEOUT": "20",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
    "npm_config_fetch_retries": "1",
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_update_notifier": "false",
    "npm_config_fund": "false",
    "npm_config_audit": "false",
    "npm_config_progress": "false",
}


class Log:
    """Lines to standard output; the last of them are kept for the message of a failure."""

    def __init__(self) -> None:
        self.last: list[str] = []
        self._begun = time.monotonic()

    def __call__(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        self.last = [*self.last[-199:], text]

    def stage(self, text: str) -> None:
        """A line of ours, with the seconds since the start."""
        self(f"==> [{time.monotonic() - self._begun:6.2f} s] {text}")


async def build(order: Order, registry: Registry, base_registry: Registry, log: Log) -> dict[str, Any]:
    """Do it all; the result. Raises BuildError, RegistryError and OSError."""
    started = now()
    folder = os.open(order.app_dir, os.O_RDONLY | os.O_DIRECTORY)
    runner = Runner(Path(order.exchange_dir), order.app_dir)
    base_read = asyncio.ensure_future(publish.read_base(base_registry, order.base))
    try:
        await take_source(order, registry, folder, log)
        tree = Tree(folder)
        plan = detect(tree, order.engine, order.app_dir, log.stage)
        known = ""
        if plan.steps and order.cache_dir:
            known = await cache.restore(
                registry, order.image_repository, Path(order.cache_dir), order.scratch_dir, log.stage
            )
        if plan.steps:
            await _run(runner, plan, order.cache_dir, log)
        runner.release()
        kept, start = _outcome(tree, plan, log)
        base = await base_read
        result = await _publish(order, registry, base_registry, tree, kept, start, base, plan, started, log)
        if plan.steps and order.cache_dir:
            await cache.save(registry, order.image_repository, Path(order.cache_dir), known, log.stage)
        log.stage("Done")
        return result
    finally:
        base_read.cancel()
        with contextlib.suppress(asyncio.CancelledError, RegistryError, BuildError):
            await base_read
        runner.release()
        os.close(folder)


async def take_source(order: Order, registry: Registry, folder: int, log: Log) -> None:
    """The source, unpacked into a folder. Raises BuildError, RegistryError and OSError."""
    with tempfile.TemporaryFile(dir=order.scratch_dir) as archive:
        try:
            size = await publish.fetch_source(registry, order.source_repository, order.source_digest, archive)
        except RefusedError as error:
            raise BuildError("source_missing", f"the source {order.source_digest} cannot be had: {error}") from error
        found = unpack(archive, folder, Limits(**order.limits))
    log.stage(f"Source {order.source_digest}: {found.entries} entries, {size} bytes, {found.size} unpacked")


async def _run(runner: Runner, plan: Plan, cache_dir: str, log: Log) -> None:
    env = {**_STEP_ENV, **(cache.variables(cache_dir) if cache_dir else {}), **plan.env}
    code = await runner.run(plan.steps, env, log)
    if code != 0:
        raise complaint(code, log.last)


def _outcome(tree: Tree, plan: Plan, log: Log) -> tuple[str, Start]:
    """The folder that is kept, and how what is in it is started. Raises BuildError."""
    if plan.start is not None:
        log.stage(f"Start: {' '.join(plan.start.argv)}")
        return ".", plan.start
    for pages in plan.pages:
        if tree.has(f"{pages}/index.html".removeprefix("./")):
            log.stage(f"Start: the web server, with the pages in {pages}/")
            return pages, static.start(APP_DIR)
    raise BuildError("no_start_command", f"how to start it is not clear. Looked for: {plan.sought}")


async def _publish(
    order: Order,
    registry: Registry,
    base_registry: Registry,
    tree: Tree,
    kept: str,
    start: Start,
    base: publish.Base,
    plan: Plan,
    started: str,
    log: Log,
) -> dict[str, Any]:
    marks = image.labels(
        (base.config.get("config") or {}).get("Labels") or {},
        order.base,
        base.digest,
        {
            "app": order.app,
            "session": order.session_id,
            "source": order.source_digest,
            "language": plan.language,
            "engine": "layers",
        },
    )

    def config_of(diff_id: str) -> dict[str, Any]:
        return image.config(base.config, [diff_id], start, order.port, APP_DIR, marks)

    with tree.open(kept) as folder:
        layer = Layer(folder, APP_DIR, time_of(order.source_digest))
        made = await publish.push(
            registry, order.image_repository, base, base_registry, layer, config_of, {}, order.build
        )
    log.stage(f"Image {order.image_repository}@{made.digest}: {layer.entries} entries, layer of {layer.size} bytes")
    statement = provenance.statement(
        order,
        image_digest=made.digest,
        base_digest=base.digest,
        language=plan.language,
        version=version(),
        started=started,
        finished=now(),
    )
    attached = await publish.attach(registry, order.image_repository, made, statement)
    return {
        "imageDigest": made.digest,
        "baseDigest": base.digest,
        "statementDigest": attached,
        "language": plan.language,
        "layerBytes": layer.size,
    }


def now() -> str:
    """This moment (RFC 3339)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def version() -> str:
    """Of the builder; empty where none is known."""
    try:
        return importlib.metadata.version("codesessions")
    except importlib.metadata.PackageNotFoundError:
        return ""


def outcome_of(error: BaseException) -> dict[str, Any]:
    """The result of a failure."""
    if isinstance(error, BuildError):
        return {"code": error.code, "error": str(error), "transient": error.transient}
    if isinstance(error, UnavailableError):
        return {"code": "registry_unavailable", "error": str(error), "transient": True}
    if isinstance(error, RegistryError):
        return {"code": "registry_refused", "error": str(error), "transient": False}
    if isinstance(error, OSError):
        return {"code": "disk", "error": f"the build's disk: {error.strerror or error}", "transient": False}
    return {"code": "internal", "error": repr(error), "transient": False}


def registry_settings() -> RegistrySettings:
    """As the environment has them. Raises BuildError."""
    environment = dict(os.environ)
    if not Path(environment.get(_CA_FILE, "/")).is_file():
        environment.pop(_CA_FILE, None)  # a namespace need not have the platform's certificates
    settings = RegistrySettings.read(environment)
    if settings is None:
        raise BuildError("internal", "the build pod was told of no registry")
    return settings


async def _main(log: Log) -> dict[str, Any]:
    settings = registry_settings()
    order = Order.read(os.environ[VARIABLE])
    async with contextlib.AsyncExitStack() as stack:
        registry = other = await stack.enter_async_context(Registry(settings))
        if order.base_registry:
            where = RegistrySettings(URL(order.base_registry), "", settings.auth_file, settings.ca_file)
            other = await stack.enter_async_context(Registry(where))
        return await build(order, registry, other, log)


async def _stoppable(work: Callable[[Log], Awaitable[dict[str, Any]]], log: Log) -> dict[str, Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work(log)


def rendered(result: dict[str, Any]) -> bytes:
    """As JSON of at most `_RESULT_LIMIT` bytes, whatever script a complaint is in: it is what gives way."""
    while True:
        text = json.dumps(result, ensure_ascii=False).encode("utf-8", "replace")
        error = str(result.get("error") or "")
        if len(text) <= _RESULT_LIMIT or not error:
            return text
        result = {**result, "error": error[: len(error) * 3 // 4]}


def run(work: Callable[[Log], Awaitable[dict[str, Any]]]) -> None:
    """Do the work of a container, leave its result in the termination log, and exit."""
    log = Log()
    try:
        result, code = asyncio.run(_stoppable(work, log)), 0
    except asyncio.CancelledError:
        result, code = {"code": "stopped", "error": "the build was told to stop", "transient": True}, 75
    except Exception as error:
        result = outcome_of(error)
        code = 75 if result["transient"] else 1
        log.stage(f"Failed ({result['code']}): {result['error']}")
    target = Path(os.environ.get("CODESESSIONS_TERMINATION_LOG", TERMINATION_LOG))
    with contextlib.suppress(OSError):
        target.write_bytes(rendered(result))
    sys.exit(code)


def main() -> None:
    """Entry point."""
    run(_main)
