"""`.dev/env`: what a client needs to reach the demo, as a file that a shell can source."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from codesessions_dev.layout import DEV

PATH = DEV / "env"


@dataclass(frozen=True)
class Access:
    """How to reach the installed product from this machine."""

    url: str
    """Base URL of the REST API, through the ingress."""
    api_key: str
    """A key of organisation `demo` with all three scopes."""
    ca: Path
    """The certificate authority of the ingress, PEM."""
    kubeconfig: Path


_VARIABLES = {
    "url": "CODESESSIONS_URL",
    "api_key": "CODESESSIONS_API_KEY",
    "ca": "CODESESSIONS_CA",
    "kubeconfig": "KUBECONFIG",
}


def render(access: Access) -> str:
    """The file's text."""
    values = asdict(access)
    return "".join(f"export {variable}={shlex.quote(str(values[name]))}\n" for name, variable in _VARIABLES.items())


def parse(text: str) -> dict[str, str]:
    """Variables of such a file; lines that export nothing are passed over."""
    found = {}
    for line in text.splitlines():
        words = shlex.split(line)
        if len(words) == 2 and words[0] == "export" and "=" in words[1]:
            name, _, value = words[1].partition("=")
            found[name] = value
    return found


def write(access: Access) -> None:
    """Write `.dev/env`, readable by its owner alone: it holds a key."""
    DEV.mkdir(exist_ok=True)
    descriptor = os.open(PATH, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(render(access))
    PATH.chmod(0o600)


def read() -> Access | None:
    """What was written last, or None."""
    if not PATH.exists():
        return None
    values = parse(PATH.read_text())
    if not all(variable in values for variable in _VARIABLES.values()):
        return None
    return Access(
        values["CODESESSIONS_URL"],
        values["CODESESSIONS_API_KEY"],
        Path(values["CODESESSIONS_CA"]),
        Path(values["KUBECONFIG"]),
    )
