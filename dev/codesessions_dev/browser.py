"""A real browser for tests: the system's Chromium, installed when it is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.say import DevError
from codesessions_dev.shell import run

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def ensure() -> Path:
    """The browser's program. Raises DevError where there is none and none can be installed."""
    if (found := _found()) is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise DevError("tests of the web terminal need Chromium: please install it")
    with say.step("install Chromium"):
        env = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-q"], env=env)
        run(["apt-get", "install", "-qy", "--no-install-recommends", "chromium", "fonts-dejavu-core"], env=env)
    if (found := _found()) is None:
        raise DevError("Chromium was installed, and is not on PATH")
    return found


def _found() -> Path | None:
    return next((Path(path) for name in _NAMES if (path := shutil.which(name))), None)
