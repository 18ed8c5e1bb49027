"""What the sidecar is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HELP = """\
usage: codesessions-sidecar [--help]

The PTY sidecar of a Code Sessions workspace. Settings are environment variables:

  CODESESSIONS_SESSION_ID      required, as cs_abc123
  CODESESSIONS_SESSION_UID     required, metadata.uid of the CodeSession
  CODESESSIONS_KEY_FILE        the workspace's key, in hexadecimal (/etc/codesession/workspace-key)
  CODESESSIONS_RUN_DIR         folder shared with the workspace, for the launcher's socket (/run/codesession)
  CODESESSIONS_DATA_DIR        folder of the transcript (/var/lib/codesession)
  CODESESSIONS_WORKSPACE_DIR   the workspace's files, for archives (/workspace)
  CODESESSIONS_HOST            address to listen at (0.0.0.0)
  CODESESSIONS_PORT            port to listen at, 0 for any (7681)
  CODESESSIONS_SPOOL_BYTES     how much output is kept (33554432)
  CODESESSIONS_LINGER_SECONDS  how long output can be read after the shell ended by itself (5)
  CODESESSIONS_ARCHIVE         true: the session is over; serve its transcript, and wait for no launcher (false)
  CODESESSIONS_LOG_FORMAT      json or text (json)

Exit codes: 0 stopped by SIGTERM; 1 a folder or the port cannot be used; 2 a setting cannot be.
"""
DEFAULT_SPOOL_BYTES = 32 << 20
"""A build's whole log stays readable (20 MB was the case to meet) at 3 % of the default volume; it costs no memory."""


class SettingsError(Exception):
    """The environment says something that cannot be."""


@dataclass(frozen=True)
class Settings:
    """Every setting; `HELP` says what each is."""

    session_id: str
    session_uid: str
    key: bytes
    run_dir: Path
    data_dir: Path
    workspace_dir: Path
    host: str
    port: int
    spool_bytes: int
    linger_seconds: int
    archive: bool = False


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. Raises SettingsError that names the variable."""

    def number(name: str, otherwise: int, least: int, most: int) -> int:
        text = environment.get(name, str(otherwise))
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most):
            raise SettingsError(f"{name} must be a number from {least} to {most}, it is {text!r}")
        return int(text)

    key_file = Path(environment.get("CODESESSIONS_KEY_FILE", "/etc/codesession/workspace-key"))
    try:
        key = bytes.fromhex(key_file.read_text().strip())
    except OSError as error:
        raise SettingsError(f"CODESESSIONS_KEY_FILE: {error}") from error
    except ValueError as error:  # says nothing of what is in the file
        raise SettingsError(f"CODESESSIONS_KEY_FILE: {key_file} must be hexadecimal") from error
    if len(key) < 32:
        raise SettingsError(f"CODESESSIONS_KEY_FILE: {key_file} must hold 32 bytes or more, in hexadecimal")
    identity = {name: environment.get(name, "") for name in ("CODESESSIONS_SESSION_ID", "CODESESSIONS_SESSION_UID")}
    for name, value in identity.items():
        if not value:
            raise SettingsError(f"{name} must be set")
    return Settings(
        session_id=identity["CODESESSIONS_SESSION_ID"],
        session_uid=identity["CODESESSIONS_SESSION_UID"],
        key=key,
        run_dir=Path(environment.get("CODESESSIONS_RUN_DIR", "/run/codesession")),
        data_dir=Path(environment.get("CODESESSIONS_DATA_DIR", "/var/lib/codesession")),
        workspace_dir=Path(environment.get("CODESESSIONS_WORKSPACE_DIR", "/workspace")),
        host=environment.get("CODESESSIONS_HOST", "0.0.0.0"),  # noqa: S104 - a pod is reached at its address
        port=number("CODESESSIONS_PORT", 7681, 0, 65535),
        spool_bytes=number("CODESESSIONS_SPOOL_BYTES", DEFAULT_SPOOL_BYTES, 512 << 10, 4 << 30),
        linger_seconds=number("CODESESSIONS_LINGER_SECONDS", 5, 0, 3600),
        archive=environment.get("CODESESSIONS_ARCHIVE") == "true",
    )
