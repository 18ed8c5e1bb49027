"""What the demo, the tests and a person need of a cluster, however it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from codesessions_dev.layout import Layout


class Provider(Protocol):
    """A way to make a development cluster on this machine. Every call is safe to repeat."""

    layout: Layout

    def up(self) -> None:
        """Make the cluster, or what is missing of it, and return when its node is Ready. Raises DevError."""

    def down(self) -> None:
        """Remove the cluster and all it left: processes, mounts, namespaces, cgroups, files."""

    def status(self) -> bool:
        """Print the state of each part; true if all is well."""

    def logs(self, part: str | None, *, follow: bool) -> None:
        """Print the log of one part, or name the parts there are."""

    def images(self) -> set[str]:
        """References of the images that are on the node."""

    def load(self, archive: Path) -> None:
        """Put the images of an OCI or Docker archive on the node."""

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig that works from this machine."""

    @property
    def ca(self) -> Path:
        """The certificate authority of the ingress."""

    @property
    def registry(self) -> str:
        """URL of the cluster's registry, as pods and nodes reach it; empty without one."""

    @property
    def build_env(self) -> dict[str, str]:
        """What build pods are told of the way to package indexes (chart: build.env)."""

    @property
    def build_ca(self) -> str:
        """Certificates that build pods trust, PEM; empty: those of their image (chart: build.caConfigMap)."""

    @property
    def helm(self) -> Path:
        """The Helm 4 program."""
