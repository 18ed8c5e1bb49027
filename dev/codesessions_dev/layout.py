"""Where things live. Nothing here touches the disk."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DEV = REPO / ".dev"
APPS_DOMAIN = "apps.codesessions.localhost"
"""Applications are host names below it. Browsers and curl take `*.localhost` for loopback (RFC 6761, section 6.3)."""


def cache_root() -> Path:
    """The folder for what is expensive to make again: binaries and base images (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "codesessions"


@dataclass(frozen=True)
class Ports:
    """TCP ports on 127.0.0.1 of this machine through which the cluster is reached."""

    https: int = 8443
    http: int = 8080
    apiserver: int = 6443
    registry: int = 5000

    @classmethod
    def from_environment(cls) -> Ports:
        """Read `CODESESSIONS_DEV_<NAME>_PORT`; raises ValueError for what is not a port."""
        values = {}
        for name in ("https", "http", "apiserver", "registry"):
            variable = f"CODESESSIONS_DEV_{name.upper()}_PORT"
            text = os.environ.get(variable)
            if text is None:
                continue
            if not text.isdigit() or not 0 < int(text) < 65536:
                raise ValueError(f"{variable}={text!r} is not a TCP port (1-65535)")
            values[name] = int(text)
        return cls(**values)


@dataclass(frozen=True)
class Layout:
    """Paths and addresses of the one development cluster of a machine, shared by every checkout."""

    name: str = "codesessions-dev"
    node: str = "node-1"
    node_ip: str = "10.88.0.1"
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    apiserver_service_ip: str = "10.96.0.1"
    dns_ip: str = "10.96.0.10"
    ports: Ports = Ports()

    @property
    def state(self) -> Path:
        """What must outlive a restart of the processes: etcd, images, volumes, certificates, logs."""
        return Path("/var/lib") / self.name

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return Path("/run") / self.name

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def etc(self) -> Path:
        return self.state / "etc"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def netns(self) -> Path:
        return Path("/run/netns") / self.name

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig for this machine's side of the forwarded port."""
        return self.etc / "admin.kubeconfig"

    @property
    def ca(self) -> Path:
        """The certificate authority to trust for the ingress."""
        return self.pki / "ca.crt"


def tool(name: str) -> Path:
    """A program that came with the Python environment (`kubectl`, `uv`)."""
    return Path(sys.prefix) / "bin" / name
