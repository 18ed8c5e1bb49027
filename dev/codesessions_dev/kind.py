"""The kind provider, for machines with Docker: the same images, chart and tests on a node container.

Thin on purpose. It needs the `kind` and `docker` programs, and its node image from a registry.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import Layout, tool
from codesessions_dev.local import binaries, pki
from codesessions_dev.shell import output, run

CONTOUR = "https://projectcontour.io/quickstart/contour.yaml"


def config(layout: Layout) -> str:
    """A kind Cluster of one node whose ingress ports are this machine's. JSON is YAML."""
    ports = [
        {"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"}
        for inside, outside in ((443, layout.ports.https), (80, layout.ports.http))
    ]
    node = {"role": "control-plane", "extraPortMappings": ports}
    networking = {"apiServerAddress": "127.0.0.1", "apiServerPort": layout.ports.apiserver}
    return json.dumps(
        {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "networking": networking, "nodes": [node]}
    )


class KindCluster:
    """A cluster made by kind. See `provider.Provider`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def ca(self) -> Path:
        return self.layout.ca

    @property
    def registry(self) -> str:
        return ""

    @property
    def build_env(self) -> dict[str, str]:
        return {}  # its nodes have Docker's network

    @property
    def build_ca(self) -> str:
        return ""

    @property
    def helm(self) -> Path:
        found = shutil.which("helm")
        if found:
            return Path(found)
        addons = next(group for group in binaries.GROUPS if group.name == "addons")
        return binaries.build(addons) / "helm"

    def _exists(self) -> bool:
        return self.layout.name in output(["kind", "get", "clusters"]).split()

    def up(self) -> None:
        for program in ("docker", "kind"):
            if not shutil.which(program):
                raise say.DevError(
                    f"the kind provider needs `{program}` on PATH; `--provider local` does without Docker"
                )
        if run(["docker", "info"], check=False).returncode != 0:
            raise say.DevError("Docker does not answer (`docker info`); start it, or take `--provider local`")
        self.layout.etc.mkdir(parents=True, exist_ok=True)
        pki.create(self.layout)
        if not self._exists():
            with say.step("kind create cluster"):
                run(
                    [
                        "kind",
                        "create",
                        "cluster",
                        f"--name={self.layout.name}",
                        "--config=-",
                        "--wait=120s",
                        f"--kubeconfig={self.kubeconfig}",
                    ],
                    stdin=config(self.layout),
                )
        with say.step("install Contour"):
            kubectl = [str(tool("kubectl")), f"--kubeconfig={self.kubeconfig}"]
            run([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", CONTOUR])
            run([*kubectl, "-n", "projectcontour", "rollout", "status", "daemonset/envoy", "--timeout=180s"])

    def down(self) -> None:
        if shutil.which("kind") and self._exists():
            run(["kind", "delete", "cluster", f"--name={self.layout.name}"])
        shutil.rmtree(self.layout.state, ignore_errors=True)

    def status(self) -> bool:
        if not self._exists():
            say.line("there is no kind cluster")
            return False
        nodes = run([tool("kubectl"), f"--kubeconfig={self.kubeconfig}", "get", "nodes"], check=False)
        say.line(nodes.stdout or nodes.stderr)
        return nodes.returncode == 0 and " Ready " in nodes.stdout

    def logs(self, part: str | None, *, follow: bool) -> None:
        container = f"{self.layout.name}-control-plane"
        words = ["docker", "logs", *(["--follow"] if follow else []), container]
        if part:
            words = ["docker", "exec", container, "journalctl", "--no-pager", f"--unit={part}"]
        with contextlib.suppress(KeyboardInterrupt):
            subprocess.run(words, check=False)

    def images(self) -> set[str]:
        node = f"{self.layout.name}-control-plane"
        listing = output(["docker", "exec", node, "ctr", "--namespace=k8s.io", "image", "list", "-q"])
        return set(listing.split())

    def load(self, archive: Path) -> None:
        run(["kind", "load", "image-archive", archive, f"--name={self.layout.name}"])
