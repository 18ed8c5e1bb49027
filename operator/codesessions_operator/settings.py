"""What the operator is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path


class SettingsError(Exception):
    """The environment says something that cannot be."""


@dataclass(frozen=True)
class Settings:
    """Every setting; the environment variable is CODESESSIONS_ and the name in capitals."""

    master_key_file: str = "/etc/codesessions/master-key"
    """File with the master key, at least 32 bytes."""
    namespace: str = "codesessions-system"
    """The operator's own namespace: its Lease is there, and the API and gateway pods that may reach sidecars."""
    pty_base_url: str = "https://pty.example.com"
    """ptyEndpoint is this, a slash, and the session's id."""
    workspace_image: str = ""
    """Image of workspaces that name none."""
    sidecar_image: str = ""
    """Image of the PTY sidecar."""
    image_pull_policy: str = "IfNotPresent"
    """Pull policy where a session says nothing, and of the sidecar."""
    image_pull_secrets: str = ""
    """Names of pull secrets in tenant namespaces, separated by commas."""
    storage_class: str = ""
    """StorageClass of workspaces that name none; empty: the cluster's default."""
    storage_size: str = "1Gi"
    """Size of the volume of workspaces that name none."""
    workspace_cpu_request: str = "25m"
    workspace_memory_request: str = "64Mi"
    workspace_cpu_limit: str = "1"
    workspace_memory_limit: str = "1Gi"
    egress: str = "0.0.0.0/0,::/0"
    """Networks that workspaces may reach, separated by commas; empty: DNS alone."""
    egress_except: str = "169.254.0.0/16,fe80::/10,fd00:ec2::254/128"
    """Networks they may not, whatever `egress` says; the API server's addresses are added."""
    runtime_class: str = ""
    """RuntimeClass of workspaces that name none."""
    listen: str = "0.0.0.0:8082"
    """Address of /healthz, /readyz and /metrics."""
    leader_election: str = "true"
    """Hold a Lease while working, so that a second operator waits."""
    log_level: str = "INFO"
    log_format: str = "json"
    """json or text."""

    @property
    def master_key(self) -> bytes:
        """The master key. Raises SettingsError."""
        try:
            key = Path(self.master_key_file).read_bytes().strip()
        except OSError as error:
            raise SettingsError(f"CODESESSIONS_MASTER_KEY_FILE: {error}") from error
        if len(key) < 32:
            raise SettingsError(f"CODESESSIONS_MASTER_KEY_FILE: {self.master_key_file} must hold at least 32 bytes")
        return key

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`. Raises SettingsError."""
        host, _, port = self.listen.rpartition(":")
        if not port.isdigit():
            raise SettingsError(f"CODESESSIONS_LISTEN must be HOST:PORT, it is {self.listen!r}")
        return host or "0.0.0.0", int(port)  # noqa: S104


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. Raises SettingsError that names the variable."""
    values = {
        field.name: environment[name]
        for field in fields(Settings)
        if (name := f"CODESESSIONS_{field.name.upper()}") in environment
    }
    settings = Settings(**values)
    for name in ("workspace_image", "sidecar_image"):
        if not getattr(settings, name):
            raise SettingsError(f"CODESESSIONS_{name.upper()} must be set")
    return settings
