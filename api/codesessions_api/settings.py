"""What API and gateway are told by their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from codesessions_crds.credentials import master_key_of


class SettingsError(Exception):
    """The environment says something that cannot be."""


@dataclass(frozen=True)
class Settings:
    """Every setting; the environment variable is CODESESSIONS_ and the name in capitals."""

    listen: str
    """HOST:PORT to serve on."""
    master_key_file: str = "/etc/codesessions/master-key"
    """File with the master key, at least 32 bytes."""
    allowed_origins: str = ""
    """Gateway: origins of browsers that may connect besides its own, separated by commas."""
    log_level: str = "INFO"
    log_format: str = "json"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`. Raises SettingsError."""
        host, _, port = self.listen.rpartition(":")
        if not port.isdigit() or int(port) > 65535:
            raise SettingsError(f"CODESESSIONS_LISTEN must be HOST:PORT, it is {self.listen!r}")
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104

    @property
    def master_key(self) -> bytes:
        """The master key. Raises SettingsError."""
        try:
            return master_key_of(Path(self.master_key_file).read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(f"CODESESSIONS_MASTER_KEY_FILE: {error}") from error


def read_settings(default_listen: str, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. Raises SettingsError that names the variable."""
    values = {
        field.name: environment[name]
        for field in fields(Settings)
        if (name := f"CODESESSIONS_{field.name.upper()}") in environment
    }
    settings = Settings(**{"listen": default_listen, **values})
    _ = settings.address, settings.master_key
    return settings
