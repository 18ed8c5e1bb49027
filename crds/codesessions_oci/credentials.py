"""Who we are to a registry: a dockerconfigjson (Kubernetes: kubernetes.io/dockerconfigjson). Pure but for `load`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_oci.errors import RegistryError


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token in the password's place (then `user` is empty)."""

    user: str
    password: str

    @property
    def basic(self) -> str:
        """Value of the Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def find(config: dict[str, Any], host: str, prefix: str = "") -> Credentials | None:
    """The entry for a registry: of several that fit, the one with the longest path."""
    target = f"{host}/{prefix}".rstrip("/")
    best: tuple[int, Any] | None = None
    for name, entry in (config.get("auths") or {}).items():
        place = name.removeprefix("https://").removeprefix("http://").rstrip("/")
        place = place.removesuffix("/v1").removesuffix("/v2")
        fits = target == place or target.startswith(place + "/")
        if fits and (best is None or len(place) > best[0]):
            best = (len(place), entry)
    return _read(best[1]) if best is not None else None


def load(file: Path | None, host: str, prefix: str = "") -> Credentials | None:
    """From a file, read anew each time: a Secret may be changed. Raises RegistryError."""
    if file is None:
        return None
    try:
        return find(json.loads(file.read_bytes()), host, prefix)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RegistryError(f"the registry's credentials in {file} cannot be read: {type(error).__name__}") from None


def _read(entry: dict[str, Any]) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return Credentials("", str(token))
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    if entry.get("auth"):
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return Credentials(user, password)
    return None
