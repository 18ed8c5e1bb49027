"""A static site: files as they are, behind lighttpd."""

from __future__ import annotations

from codesessions_builder.image import Start
from codesessions_builder.plan import Plan
from codesessions_builder.tree import Tree

FOLDERS = (".", "public", "dist", "site", "_site", "build", "out", "www", "docs")
"""Where an index.html is looked for, in this order."""
CONFIG = "/etc/codesessions/lighttpd.conf"


def found(tree: Tree) -> list[str]:
    return [path for folder in FOLDERS if tree.has(path := f"{folder}/index.html".removeprefix("./"))]


def start(app_dir: str) -> Start:
    """The web server of the runtime image. SIGINT lets it finish what it sends (lighttpd(8))."""
    return Start(["lighttpd", "-D", "-f", CONFIG], {"CODESESSIONS_ROOT": app_dir}, stop_signal="SIGINT")


def plan(evidence: list[str]) -> Plan:
    folder = evidence[0].rpartition("/")[0] or "."
    return Plan("static", pages=[folder], sought="index.html")
