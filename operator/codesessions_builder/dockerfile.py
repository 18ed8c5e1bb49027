"""What stands around a Dockerfile's build: `fetch` has the source ready before, `push` sends the image after.

`python3 -m codesessions_builder.dockerfile fetch|push`. Between the two, in a container of its own, buildah runs the
user's code; it leaves an OCI image layout.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from codesessions_oci.descriptors import is_digest
from codesessions_oci.registry import Registry

from codesessions_builder import layout, provenance, publish
from codesessions_builder.errors import BuildError
from codesessions_builder.main import Log, now, registry_settings, run, take_source, version
from codesessions_builder.order import VARIABLE, Order
from codesessions_builder.tree import Tree

LANGUAGE = "dockerfile"
NAMES = ("Containerfile", "Dockerfile")
_STARTED = "started"


@contextlib.contextmanager
def _folder(path: str) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


@contextlib.asynccontextmanager
async def _asked() -> AsyncIterator[tuple[Order, Registry]]:
    async with Registry(registry_settings()) as registry:
        yield Order.read(os.environ[VARIABLE]), registry


def _begin(order: Order) -> None:
    Path(order.exchange_dir, _STARTED).write_text(now())


def _begun(order: Order) -> str:
    return Path(order.exchange_dir, _STARTED).read_text()


async def fetch(log: Log) -> dict[str, Any]:
    """The source into the application's folder. Raises BuildError, RegistryError and OSError."""
    async with _asked() as (order, registry):
        _begin(order)
        with _folder(order.app_dir) as folder:
            await take_source(order, registry, folder, log)
            name = next((each for each in NAMES if Tree(folder).has(each)), "")
            if not name:
                raise BuildError("no_dockerfile", "the engine buildah builds a Dockerfile, and the workspace has none")
    log.stage(f"There is a {name}: buildah builds it")
    return {"language": LANGUAGE}


async def push(log: Log) -> dict[str, Any]:
    """The image to the registry, with its statement. Raises BuildError, RegistryError and OSError."""
    async with _asked() as (order, registry):
        with _folder(order.scratch_dir) as folder:
            pushed = await layout.push(registry, order.image_repository, folder, order.build)
        log.stage(f"Image {order.image_repository}@{pushed.image.digest}: layers of {pushed.size} bytes")
        base = pushed.base_digest if is_digest(pushed.base_digest) else ""
        statement = provenance.statement(
            replace(order, base=pushed.base_name, engine="buildah"),
            image_digest=pushed.image.digest,
            base_digest=base,
            language=LANGUAGE,
            version=version(),
            started=_begun(order),
            finished=now(),
        )
        attached = await publish.attach(registry, order.image_repository, pushed.image, statement)
    log.stage("Done")
    return {
        "imageDigest": pushed.image.digest,
        "baseDigest": base,
        "statementDigest": attached,
        "language": LANGUAGE,
    }


if __name__ == "__main__":
    run({"fetch": fetch, "push": push}[sys.argv[1]])
