"""The chart's bundled registry in the place of the development cluster's own, for a while."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codesessions_dev.layout import Layout, Ports, cache_root
from codesessions_dev.local import base_images
from codesessions_dev.local.binaries import GROUPS, build
from codesessions_dev.local.cluster import LocalCluster
from codesessions_dev.local.oci import write_archive

from support.helm import CHART, helm
from support.kubectl import Kubectl
from support.registryview import SYSTEM, RegistryView
from support.session import until

NAME = "codesessions-registry"
PORT = 32500


@dataclass(frozen=True)
class Bundled:
    """The registry's pod."""

    system: Kubectl
    view: RegistryView

    def size(self) -> int:
        """KiB on its volume."""
        return int(self.system("exec", f"deployment/{NAME}", "--", "du", "-sk", "/var/lib/registry").split()[0])

    def restart(self) -> None:
        """Kill its pod; the next one collects the garbage before it listens."""
        before = {pod["metadata"]["uid"] for pod in self._pods()}
        self.kill()

        def anew() -> bool:
            conditions = [
                condition
                for pod in self._pods()
                if pod["metadata"]["uid"] not in before
                for condition in pod["status"].get("conditions") or ()
            ]
            return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

        until("another pod of the registry is ready", anew, seconds=120, every=0.5)

    def _pods(self) -> list[dict[str, Any]]:
        return self.system.list("pods", "-l", "app.kubernetes.io/component=registry")

    def kill(self) -> None:
        self.system("delete", "pod", "-l", "app.kubernetes.io/component=registry", "--grace-period=0", "--force")

    def log(self) -> str:
        return self.system("logs", f"deployment/{NAME}")


def image(cluster: LocalCluster) -> str:
    """An image with distribution and a shell, as `registry:3` is one; it is put on the node."""
    program = build(next(group for group in GROUPS if group.name == "addons")) / "registry"
    tag = hashlib.sha256(program.read_bytes()).hexdigest()[:12]
    reference = f"localhost/codesessions-dev/registry:{tag}"
    if reference in cluster.images():
        return reference
    archive = cache_root() / "images" / f"registry-{tag}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        rootfs = archive.with_suffix(".rootfs")
        shutil.copyfile(base_images.rootfs("base"), rootfs)
        with tarfile.open(rootfs, "a") as tar:
            tar.add(program, "usr/local/bin/registry")
        write_archive(archive, reference, rootfs.read_bytes())
        rootfs.unlink()
    cluster.load(archive)
    return reference


@contextmanager
def bundled(kubectl: Kubectl) -> Iterator[Bundled]:
    """The release with the bundled registry; afterwards it has the values of before, and the volume is gone."""
    cluster = LocalCluster(Layout(ports=Ports.from_environment()))
    system = replace(kubectl, namespace=SYSTEM)
    before = _values(system)
    wanted = copy.deepcopy(before)
    runtime = str(before["build"]["runtimeImage"])
    own = str(before["registry"]["url"])
    prefix = f"{cluster.layout.node_ip}:{PORT}"
    path, tag = runtime.partition("/")[2].rsplit(":", 1)
    pod = {"enabled": True, "image": image(cluster), "size": "1Gi", "nodePort": PORT}
    wanted["registry"] = {"url": "", "pullPrefix": prefix, "bundled": pod}
    wanted["build"]["runtimeImage"] = f"{prefix}/{path}:{tag}"
    try:
        _upgrade(system, wanted)
        view = RegistryView(kubectl)
        view.copy(own, path, tag)
        yield Bundled(system, view)
    finally:
        _upgrade(system, before)
        system("delete", "pvc", NAME, "--ignore-not-found", "--wait=false")


def _values(system: Kubectl) -> dict[str, Any]:
    answer = helm("get", "values", "codesessions", "-o", "json", *_at(system))
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def _upgrade(system: Kubectl, values: dict[str, Any]) -> None:
    words: list[str | Path] = ["upgrade", "codesessions", CHART, "--wait", "--timeout=180s", "--force-conflicts"]
    answer = helm(*words, *_at(system), values=values)
    assert answer.returncode == 0, answer.stderr


def _at(system: Kubectl) -> list[str]:
    return [f"--kubeconfig={system.kubeconfig}", f"--namespace={system.namespace}"]
