"""What API and gateway are told by their environment."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from codesessions_crds.credentials import master_key_of
from codesessions_kube import logs
from codesessions_oci.settings import RegistrySettings, RegistrySettingsError

from codesessions_api.addresses import Network, networks
from codesessions_api.ratelimits import CREATES, READS, STRANGERS, WRITES, Limit

PREFIX = "CODESESSIONS_"


class SettingsError(Exception):
    """The environment says something that cannot be."""


def _setting(default: str, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """What both programs are told. The environment variable is CODESESSIONS_ and the name in capitals."""

    listen: str = _setting("", "HOST:PORT to serve on")
    master_key_file: str = _setting("/etc/codesessions/master-key", "file with the master key, at least 32 bytes")
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_format: str = _setting("json", "json or text")
    rate_unauthenticated: str = _setting("3000/60", "REQUESTS/SECONDS of one address without a good key; 0: no limit")
    trusted_proxies: str = _setting("", "networks whose X-Forwarded-For is believed, by commas")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`. Raises SettingsError."""
        host, _, port = self.listen.rpartition(":")
        if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= 65535):
            raise SettingsError(f"{PREFIX}LISTEN must be HOST:PORT, it is {self.listen!r}")
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104

    @property
    def master_key(self) -> bytes:
        """The master key. Raises SettingsError."""
        try:
            return master_key_of(Path(self.master_key_file).read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{PREFIX}MASTER_KEY_FILE: {error}") from error

    @property
    def limited(self) -> tuple[str, ...]:
        """Of which requests there are limits."""
        return (STRANGERS,)

    @property
    def rate_limits(self) -> dict[str, Limit]:
        """The limits that hold, by name. Raises SettingsError."""
        found = {name: _limit(name, str(getattr(self, f"rate_{name}"))) for name in self.limited}
        return {name: limit for name, limit in found.items() if limit is not None}

    @property
    def proxies(self) -> tuple[Network, ...]:
        """`trusted_proxies` as networks. Raises SettingsError."""
        try:
            return networks(self.trusted_proxies)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}TRUSTED_PROXIES: {error}") from error

    def check(self) -> None:
        """Raises SettingsError for what cannot be, so that it is known at the start."""
        _ = self.address, self.master_key, self.rate_limits, self.proxies
        if self.log_format not in {"json", "text"}:
            raise SettingsError(f"{PREFIX}LOG_FORMAT must be json or text, it is {self.log_format!r}")
        if self.log_level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise SettingsError(f"{PREFIX}LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, it is {self.log_level!r}")


@dataclass(frozen=True)
class ApiSettings(Settings):
    """What the REST API is told."""

    listen: str = _setting("0.0.0.0:8080", "HOST:PORT to serve on")
    pty_base_url: str = _setting(
        "", "ptyEndpoint of a session whose status does not name one yet; empty: null till then"
    )
    max_requests: str = _setting("4000", "requests that are held at a time; more are told to try again")
    rate_reads: str = _setting("20000/10", "REQUESTS/SECONDS of one key that read; 0: no limit")
    rate_writes: str = _setting("20000/10", "... that change something")
    rate_creates: str = _setting("600/60", "... that make a session or a deploy")
    registry_url: str = _setting("", "OCI registry, its path the prefix of every repository")
    registry_pull_prefix: str = _setting("", "what nodes put before a repository to pull it; empty: as in the URL")
    registry_auth_file: str = _setting("", "dockerconfigjson with the registry's user")
    registry_ca_file: str = _setting("", "certificates to trust besides the system's, PEM")
    cache_dir: str = _setting("/tmp/codesessions-transcripts", "folder for transcripts from the registry")  # noqa: S108
    cache_mebibytes: str = _setting("64", "size of that folder")

    @property
    def limited(self) -> tuple[str, ...]:
        return READS, WRITES, CREATES, STRANGERS

    @property
    def registry(self) -> RegistrySettings | None:
        """The registry, if there is one. Raises SettingsError."""
        try:
            return RegistrySettings.read(
                {PREFIX + each.name.upper(): getattr(self, each.name) for each in fields(self)}
            )
        except RegistrySettingsError as error:
            raise SettingsError(str(error)) from error

    @property
    def cache_bytes(self) -> int:
        """`cache_mebibytes` as a number of bytes. Raises SettingsError."""
        return whole(self.cache_mebibytes, "CACHE_MEBIBYTES") << 20

    @property
    def request_limit(self) -> int:
        """`max_requests` as a number. Raises SettingsError."""
        return whole(self.max_requests, "MAX_REQUESTS")

    def check(self) -> None:
        super().check()
        _ = self.request_limit, self.registry, self.cache_bytes


@dataclass(frozen=True)
class GatewaySettings(Settings):
    """What the gateway is told."""

    listen: str = _setting("0.0.0.0:8081", "HOST:PORT to serve on")
    allowed_origins: str = _setting("", "origins of web pages that may connect besides the gateway's own, by commas")
    max_connections: str = _setting("4000", "connections at a time; more are told to try again")
    web_dir: str = _setting("/usr/share/codesessions/web", "folder of the web terminal's files; without it: none")
    drain_seconds: str = _setting("10", "seconds that open terminals get to part when the gateway is told to stop")

    @property
    def origins(self) -> frozenset[str]:
        """`allowed_origins` as a set."""
        return frozenset(word.strip().rstrip("/").lower() for word in self.allowed_origins.split(",") if word.strip())

    @property
    def connection_limit(self) -> int:
        """`max_connections` as a number. Raises SettingsError."""
        return whole(self.max_connections, "MAX_CONNECTIONS")

    @property
    def drain(self) -> int:
        """`drain_seconds` as a number. Raises SettingsError."""
        return whole(self.drain_seconds, "DRAIN_SECONDS")

    def check(self) -> None:
        super().check()
        _ = self.connection_limit, self.drain


def _limit(name: str, text: str) -> Limit | None:
    if text == "0":
        return None
    requests, slash, seconds = text.partition("/")
    variable = f"RATE_{name.upper()}"
    if not slash:
        raise SettingsError(f"{PREFIX}{variable} must be REQUESTS/SECONDS, or 0 for no limit, it is {text!r}")
    return Limit(name, whole(requests, variable), whole(seconds, variable))


def whole(text: str, name: str) -> int:
    """A whole number from 1 to a million. Raises SettingsError that names the variable."""
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= 1_000_000):
        raise SettingsError(f"{PREFIX}{name} must be a whole number from 1 to 1000000, it is {text!r}")
    return int(text)


S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S], environment: Mapping[str, str] = os.environ) -> S:
    """Settings from the environment. Raises SettingsError that names the variable."""
    values = {
        each.name: environment[name] for each in fields(kind) if (name := PREFIX + each.name.upper()) in environment
    }
    settings = kind(**values)
    settings.check()
    return settings


def from_command_line(kind: type[S], program: str, description: str) -> S:
    """Settings of a program from the environment, after its `--help`. Leaves with exit code 2 for what cannot be."""
    argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=describe(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = read_settings(kind)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    logs.configure(settings.log_level, settings.log_format)
    return settings


def describe(kind: type[Settings]) -> str:
    """Every setting with its default, for `--help`."""
    lines = [
        f"  {PREFIX + each.name.upper():<30} {each.metadata['help']} ({each.default or 'empty'})"
        for each in fields(kind)
    ]
    return "\n".join(["settings, from the environment:", *lines])
