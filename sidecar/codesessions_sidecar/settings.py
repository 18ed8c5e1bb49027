"""What the sidecar is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """The environment says something that cannot be."""


@dataclass(frozen=True)
class Settings:
    """Every setting, with its environment variable in the comment."""

    session_id: str  # CODESESSIONS_SESSION_ID
    session_uid: str  # CODESESSIONS_SESSION_UID
    key: bytes  # from CODESESSIONS_KEY_FILE, hexadecimal
    run_dir: Path  # CODESESSIONS_RUN_DIR: the launcher's socket
    data_dir: Path  # CODESESSIONS_DATA_DIR: spool and journal
    host: str  # CODESESSIONS_HOST
    port: int  # CODESESSIONS_PORT; 0: any free one
    spool_bytes: int  # CODESESSIONS_SPOOL_BYTES: how much output is kept
    linger_seconds: float  # CODESESSIONS_LINGER_SECONDS: how long the last output can be read after the shell ended


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment. Raises SettingsError that names the variable."""

    def number(name: str, otherwise: int, least: int, most: int) -> int:
        text = environment.get(name, str(otherwise))
        if not text.isdigit() or not least <= int(text) <= most:
            raise SettingsError(f"{name} must be a number from {least} to {most}, it is {text!r}")
        return int(text)

    key_file = Path(environment.get("CODESESSIONS_KEY_FILE", "/etc/codesession/workspace-key"))
    try:
        key = bytes.fromhex(key_file.read_text().strip())
    except (OSError, ValueError) as error:
        raise SettingsError(f"CODESESSIONS_KEY_FILE: {key_file}: {error}") from error
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
        host=environment.get("CODESESSIONS_HOST", "0.0.0.0"),  # noqa: S104 - a pod is reached at its address
        port=number("CODESESSIONS_PORT", 7681, 0, 65535),
        spool_bytes=number("CODESESSIONS_SPOOL_BYTES", 32 << 20, 64 << 10, 4 << 30),
        linger_seconds=number("CODESESSIONS_LINGER_SECONDS", 5, 0, 3600),
    )
