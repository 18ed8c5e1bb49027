"""What the operator is told by its environment."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from codesessions_crds.credentials import master_key_of
from codesessions_crds.meta import QUANTITY_PATTERN

from codesessions_operator.networks import networks


class SettingsError(Exception):
    """The environment says something that cannot be."""


def setting(default: str, words: str, *, kind: str = "text") -> str:
    """A setting with its default, what it means, and what its value must look like."""
    made: str = field(default=default, metadata={"help": words, "kind": kind})
    return made


@dataclass(frozen=True)
class Settings:
    """Every setting; the environment variable is CODESESSIONS_ and the name in capitals."""

    master_key_file: str = setting("/etc/codesessions/master-key", "file with the master key, at least 32 bytes")
    namespace: str = setting(
        "codesessions-system", "the operator's own: its Lease is there, and the API and gateway that reach sidecars"
    )
    pty_base_url: str = setting("https://pty.example.com", "ptyEndpoint is this, a slash, and the session's id")
    workspace_image: str = setting("", "image of workspaces that name none", kind="required")
    sidecar_image: str = setting("", "image of the PTY sidecar", kind="required")
    image_pull_policy: str = setting(
        "IfNotPresent", "where a session says nothing, and of the sidecar", kind="Always|IfNotPresent|Never"
    )
    image_pull_secrets: str = setting("", "names of pull secrets in tenant namespaces, separated by commas")
    storage_class: str = setting("", "StorageClass where a session says nothing; empty: the cluster's default")
    storage_size: str = setting("1Gi", "size of volumes where a session says nothing", kind="quantity")
    workspace_cpu_request: str = setting("25m", "where a session says nothing", kind="quantity")
    workspace_memory_request: str = setting("64Mi", "where a session says nothing", kind="quantity")
    workspace_cpu_limit: str = setting("1", "where a session says nothing", kind="quantity")
    workspace_memory_limit: str = setting("1Gi", "where a session says nothing", kind="quantity")
    workspace_disk_limit: str = setting(
        "4Gi", "of what a workspace writes outside its volume, where a session says nothing", kind="quantity"
    )
    egress: str = setting(
        "0.0.0.0/0,::/0", "networks workspaces may reach, separated by commas; empty: DNS alone", kind="networks"
    )
    egress_except: str = setting(
        "169.254.0.0/16,fe80::/10,fd00:ec2::254/128",
        "networks they may not, whatever EGRESS says; the API server's addresses are added",
        kind="networks",
    )
    egress_private: str = setting(
        "false",
        "whether a wide network of EGRESS, APPS_EGRESS or BUILD_EGRESS includes the private ones; one that is named"
        " itself is always reached",
        kind="true|false",
    )
    default_deny: str = setting(
        "true", "deny all traffic of the other pods in namespaces of organisations", kind="true|false"
    )
    host_users: str = setting(
        "true", "whether workspaces have the node's user ids; false: a user namespace each", kind="true|false"
    )
    registry_url: str = setting("", "OCI registry; with one, transcripts outlive their pods (see below)")
    archive_seconds: str = setting(
        "86400", "how long it is tried to store a transcript after a session's end", kind="seconds"
    )
    runtime_class: str = setting("", "RuntimeClass where a session says nothing")
    listen: str = setting("0.0.0.0:8082", "address of /healthz, /readyz and /metrics")
    leader_election: str = setting("true", "hold a Lease while working; a second operator waits", kind="true|false")
    log_level: str = setting("INFO", "what is logged", kind="DEBUG|INFO|WARNING|ERROR")
    log_format: str = setting("json", "how it is logged", kind="json|text")

    @property
    def master_key(self) -> bytes:
        """The master key. Raises SettingsError."""
        try:
            return master_key_of(Path(self.master_key_file).read_bytes())
        except (OSError, ValueError) as error:
            raise SettingsError(f"CODESESSIONS_MASTER_KEY_FILE ({self.master_key_file}): {error}") from error

    @property
    def archive_time(self) -> timedelta:
        """`archive_seconds` as a duration."""
        return timedelta(seconds=int(self.archive_seconds))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`. Raises SettingsError."""
        host, _, port = self.listen.rpartition(":")
        if not port.isdigit():
            raise SettingsError(f"CODESESSIONS_LISTEN must be HOST:PORT, it is {self.listen!r}")
        return host or "0.0.0.0", int(port)  # noqa: S104


S = TypeVar("S")


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. Raises SettingsError that names the variable."""
    return read_as(Settings, environment)


def read_as(kind: type[S], environment: Mapping[str, str]) -> S:
    """Settings of a dataclass whose fields `setting` made. Raises SettingsError that names the variable."""
    known = fields(kind)  # type: ignore[arg-type]
    values = {each.name: environment[name] for each in known if (name := variable_of(each.name)) in environment}
    settings = kind(**values)
    for each in known:
        complaint = _complaint(getattr(settings, each.name), each.metadata["kind"])
        if complaint:
            raise SettingsError(f"{variable_of(each.name)} {complaint}, it is {getattr(settings, each.name)!r}")
    return settings


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"CODESESSIONS_{name.upper()}"


def described(kind: type[Any] = Settings) -> str:
    """All settings, for --help."""
    lines = ["Settings, from the environment:"] if kind is Settings else []
    for each in fields(kind):
        form = f" ({each.metadata['kind']})" if "|" in each.metadata["kind"] else ""
        lines.append(f"  {variable_of(each.name)}={each.default}")
        lines.append(f"      {each.metadata['help']}{form}")
    return "\n".join(lines)


def _complaint(value: str, kind: str) -> str:
    if kind == "required":
        return "" if value else "must be set"
    if "|" in kind:
        return "" if {value, value.upper()} & set(kind.split("|")) else f"must be one of {kind}"
    if kind == "quantity":
        return "" if re.fullmatch(QUANTITY_PATTERN, value) else "must be a quantity, for instance 500m, 2 or 1Gi"
    if kind == "words":
        return "" if _words(value) is not None else 'must be a JSON object of texts, for instance {"A": "b"}'
    if kind == "peers":
        return "" if _is_peers(value) else "must be a JSON list of NetworkPolicyPeers"
    if kind == "seconds":
        good = value.isascii() and value.isdigit() and len(value) < 9
        return "" if good else "must be a whole number of seconds"
    if kind == "networks":
        try:
            networks(value)
        except ValueError as error:
            return f"must be networks separated by commas ({error})"
    return ""


def _words(value: str) -> dict[str, str] | None:
    """A JSON object whose values are texts; None for what is none."""
    try:
        found = json.loads(value or "{}")
    except ValueError:
        return None
    good = isinstance(found, dict) and all(isinstance(each, str) for each in found.values())
    return found if good else None


def _is_peers(value: str) -> bool:
    try:
        found = json.loads(value or "[]")
    except ValueError:
        return False
    return isinstance(found, list) and all(isinstance(each, dict) for each in found)


def names_of(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def words_of(value: str) -> dict[str, str]:
    """The names and texts of a setting of kind `words`."""
    return _words(value) or {}
