"""The builder program and a runner as processes, against a real registry: a build without Kubernetes."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_builder.order import VARIABLE, Order
from codesessions_builder.runner import WAIT
from codesessions_oci.descriptors import MANIFEST, Descriptor, digest_of, render
from codesessions_oci.registry import Registry

from support.registry import RealRegistry


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A zip as the sidecar's, but smaller."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


_PATH = f"{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin"
"""Of a runner: this environment's own Python has no pip."""


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def push_source(registry: Registry, repository: str, data: bytes) -> str:
    layer = await registry.push_blob(repository, _once(data), "application/zip")
    return (await registry.push_artifact(repository, "source", "application/zip", [layer], {})).digest


async def push_base(registry: Registry, repository: str) -> str:
    """A runtime image with one small layer; its digest."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("base.txt")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"base"))
    layer = await registry.push_bytes(repository, out.getvalue(), "application/vnd.oci.image.layer.v1.tar")
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/bin:/bin", "PORT=1"],
            "Labels": {"org.opencontainers.image.title": "x", "y": "z"},
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(out.getvalue())]},
    }
    config = await registry.push_bytes(repository, render(document), "application/vnd.oci.image.config.v1+json")
    body = render(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.document(), "layers": [layer.document()]}
    )
    return await registry.push_manifest(repository, "1", body)


@dataclass
class Built:
    """How a build ended."""

    code: int
    log: str
    result: dict[str, Any]


@dataclass
class Site:
    """A registry with a runtime image, and a folder for builds."""

    real: RealRegistry
    folder: Path
    count: int = 0

    def repository(self, name: str) -> str:
        return self.real.settings().repository(name)

    async def build(
        self, files: Mapping[str, str | bytes] | bytes, *, env: Mapping[str, str] = {}, **more: Any
    ) -> Built:
        """Push a source, build it, and say how that ended."""
        async with Registry(self.real.settings()) as registry:
            data = files if isinstance(files, bytes) else zipped(files)
            digest = await push_source(registry, self.repository("sources"), data)
            base = await push_base(registry, self.repository("runtime"))
        return await asyncio.to_thread(self._run, digest, base, env, more)

    def _run(self, digest: str, base: str, env: Mapping[str, str], more: Mapping[str, Any]) -> Built:
        self.count += 1
        place = self.folder / str(self.count)
        for name in ("app", "exchange", "scratch", "cache"):
            (place / name).mkdir(parents=True)
        order = Order(
            source_repository=self.repository("sources"),
            source_digest=digest,
            base=f"{self.repository('runtime')}@{base}",
            image_repository=self.repository("app-1"),
            app="app-1",
            build="b-1",
            namespace="demo",
            session_id="cs_1",
            user_id="user_1",
            app_dir=str(place / "app"),
            exchange_dir=str(place / "exchange"),
            scratch_dir=str(place / "scratch"),
            cache_dir=str(place / "cache"),
            **more,
        )
        runner = subprocess.Popen(["/bin/sh", "-c", WAIT], cwd=place / "exchange", env={"PATH": _PATH, **env})
        environment = {
            **os.environ,
            **self.real.variables(),
            VARIABLE: order.render(),
            "CODESESSIONS_TERMINATION_LOG": str(place / "result"),
        }
        try:
            done = subprocess.run(
                [sys.executable, "-m", "codesessions_builder"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
            )
            runner.wait(60)
        finally:
            runner.kill()
            runner.wait()
        assert not done.stderr, done.stderr
        return Built(done.returncode, done.stdout, json.loads((place / "result").read_text()))

    async def image(self, built: Built) -> tuple[dict[str, Any], dict[str, Any], dict[str, tarfile.TarInfo], bytes]:
        """Manifest, config, the entries of the last layer, and its tar."""
        async with Registry(self.real.settings()) as registry:
            found = await registry.get_manifest(self.repository("app-1"), built.result["imageDigest"])
            config = await self._blob(registry, Descriptor.read(found.document["config"]))
            packed = await self._blob(registry, found.layers[-1])
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            entries = {entry.name: entry for entry in tar}
        return found.document, json.loads(config), entries, packed

    async def _blob(self, registry: Registry, at: Descriptor) -> bytes:
        parts = registry.read_blob(self.repository("app-1"), at.digest, at.size)
        return b"".join([part async for part in parts])

    async def statement(self, built: Built) -> dict[str, Any]:
        """The provenance that refers to the image."""
        async with Registry(self.real.settings()) as registry:
            repository = self.repository("app-1")
            referrers = await registry.referrers(repository, built.result["imageDigest"])
            (found,) = (each for each in referrers if each.digest == built.result["statementDigest"])
            layer = (await registry.get_manifest(repository, found.digest)).layers[0]
            statement: dict[str, Any] = json.loads(await self._blob(registry, layer))
            return statement
