"""What the platform's registry holds, seen from the operator's pod, whichever registry that is."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from support.kubectl import Kubectl

SYSTEM, OPERATOR = "codesessions-system", "deployment/codesessions-operator"
_HEAD = """
import asyncio, json, os, sys
from codesessions_oci.errors import NotFoundError
from codesessions_oci.registry import Registry
from codesessions_oci.settings import RegistrySettings
from yarl import URL
OURS = RegistrySettings.read(os.environ)
"""
_TAGS = """
async def main(repositories):
    found = {}
    async with Registry(OURS) as registry:
        for name in repositories:
            repository = OURS.repository(*name.split("/"))
            found[name] = await registry.tags(repository)
    print(json.dumps(found))
"""
_WHOLE = """
async def main(name, digest):
    async with Registry(OURS) as registry:
        repository = OURS.repository(*name.split("/"))
        try:
            document = (await registry.get_manifest(repository, digest)).document
        except NotFoundError:
            print("false")
            return
        blobs = [document["config"], *document["layers"]]
        print(json.dumps(all([await registry.has_blob(repository, each["digest"]) for each in blobs])))
"""
_COPY = """
async def main(url, repository, tag):
    there = RegistrySettings(URL(url), "", None, None)
    async with Registry(there) as source, Registry(OURS) as target:
        manifest = await source.get_manifest(repository, tag)
        for each in (manifest.document["config"], *manifest.document["layers"]):
            if await target.has_blob(repository, each["digest"]) is None:
                await target.push_blob(repository, source.read_blob(repository, each["digest"], each["size"]))
        await target.push_manifest(repository, tag, manifest.body, manifest.media_type)
    print("true")
"""


@dataclass(frozen=True)
class RegistryView:
    """Runs a few lines in the operator's pod, with the operator's own client and settings."""

    kubectl: Kubectl

    def _run(self, code: str, *arguments: Any) -> Any:
        system = replace(self.kubectl, namespace=SYSTEM)
        code = f"{_HEAD}{code}\nasyncio.run(main(*json.loads(sys.argv[1])))"
        return json.loads(system("exec", OPERATOR, "--", "python3", "-c", code, json.dumps(arguments)))

    def tags(self, *repositories: str) -> dict[str, list[str]]:
        """The tags of repositories, each named `NAMESPACE/NAME`."""
        found: dict[str, list[str]] = self._run(_TAGS, repositories)
        return found

    def is_whole(self, repository: str, digest: str) -> bool:
        """Whether a manifest is there with all its blobs."""
        return bool(self._run(_WHOLE, repository, digest))

    def copy(self, url: str, repository: str, tag: str) -> None:
        """Take an image from a registry that asks nobody who he is."""
        self._run(_COPY, url, repository, tag)
