"""Which registry, and how to reach it: read by the operator and the API from the same four variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

URL_VARIABLE = "CODESESSIONS_REGISTRY_URL"
VARIABLES = {
    URL_VARIABLE: "OCI registry, its path the prefix of every repository; empty: none",
    "CODESESSIONS_REGISTRY_PULL_PREFIX": "what nodes put before a repository to pull it; empty: as in the URL",
    "CODESESSIONS_REGISTRY_AUTH_FILE": "dockerconfigjson with the registry's user; empty: nobody",
    "CODESESSIONS_REGISTRY_CA_FILE": "certificates to trust besides the system's, PEM; empty: none",
}
_PATH = re.compile(r"^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$")
"""A repository's name (OCI Distribution: pulling manifests)."""


def describe() -> str:
    """Every setting, for `--help`."""
    return "\n".join(f"  {name:<36} {words}" for name, words in VARIABLES.items())


class RegistrySettingsError(ValueError):
    """The environment says something that cannot be; the message names the variable."""


@dataclass(frozen=True)
class RegistrySettings:
    """Where the registry is. Make it with `read`, which checks it."""

    url: URL
    pull_prefix: str
    auth_file: Path | None = None
    ca_file: Path | None = None

    @property
    def host(self) -> str:
        """As images and credentials name it: with the port only if it is not the scheme's own."""
        return self.url.host_port_subcomponent or ""

    @property
    def prefix(self) -> str:
        """Before every repository's name; may be empty."""
        return self.url.path.strip("/")

    def repository(self, *names: str) -> str:
        """A repository of ours: the prefix and some names. Raises ValueError for what is no name."""
        found = "/".join(filter(None, (self.prefix, *names)))
        if not _PATH.fullmatch(found) or len(found) > 255:
            raise ValueError(f"{found!r} is not the name of a repository")
        return found

    def image(self, repository: str, digest: str) -> str:
        """What a node pulls: a repository that `repository` made, by digest."""
        return f"{self.pull_prefix}/{repository.removeprefix(self.prefix).lstrip('/')}@{digest}"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> RegistrySettings | None:
        """From the environment; None without a registry. Raises RegistrySettingsError."""
        text = environment.get(URL_VARIABLE, "").strip()
        if not text:
            return None
        try:
            url = URL(text)
            host = url.host
        except ValueError:
            host = None
        if host is None or url.scheme not in {"http", "https"} or url.query_string or url.fragment or url.user:
            raise RegistrySettingsError(
                f"{URL_VARIABLE} must be http:// or https://, a host and a path, with no user in it; it is {text!r}"
            )
        path = url.path.strip("/")
        if path and not _PATH.fullmatch(path):
            raise RegistrySettingsError(f"{URL_VARIABLE}: {path!r} is no prefix of repositories")
        found = {name: environment.get(name, "").strip() for name in VARIABLES}
        files = {}
        for name in ("CODESESSIONS_REGISTRY_AUTH_FILE", "CODESESSIONS_REGISTRY_CA_FILE"):
            files[name] = Path(found[name]) if found[name] else None
            if files[name] is not None and not os.access(found[name], os.R_OK):
                raise RegistrySettingsError(f"{name}: {found[name]} cannot be read")
        default = f"{url.host_port_subcomponent}/{path}".rstrip("/")
        return cls(
            url,
            found["CODESESSIONS_REGISTRY_PULL_PREFIX"].rstrip("/") or default,
            files["CODESESSIONS_REGISTRY_AUTH_FILE"],
            files["CODESESSIONS_REGISTRY_CA_FILE"],
        )
