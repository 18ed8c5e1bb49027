"""What a source is. Every decision is said, with what it rests on."""

from __future__ import annotations

import re
from collections.abc import Callable

from codesessions_builder.errors import BuildError
from codesessions_builder.image import Start
from codesessions_builder.languages import node, python, static
from codesessions_builder.plan import Plan, shell
from codesessions_builder.tree import Tree

_WEB = re.compile(r"^web\s*:\s*(\S.*)$", re.MULTILINE)
Say = Callable[[str], None]


def detect(tree: Tree, engine: str, app_dir: str, say: Say) -> Plan:
    """Dockerfile > Procfile > Node, Python, static. Raises BuildError that says what was looked for."""
    if tree.has("Dockerfile") or tree.has("Containerfile"):
        if engine != "layers":
            raise BuildError(
                "needs_buildah",
                "there is a Dockerfile, which the engine layers does not build: ask for the engine buildah where the"
                " platform has it, for the engine layers to have the Dockerfile passed over, or name it in .csignore",
            )
        say("There is a Dockerfile; the engine layers, which was asked for, does not read it.")
    command = procfile(tree)
    if command:
        say(f"Procfile: it is started by `{command}`.")
    of_node, of_python, pages = node.found(tree), python.found(tree), static.found(tree)
    if of_node and of_python and not command:
        raise BuildError(
            "ambiguous",
            f"this is both Node ({', '.join(of_node)}) and Python ({', '.join(of_python)}): say what to start in a"
            " Procfile (`web: COMMAND`), or leave one out by .csignore",
        )
    if of_node and of_python:
        say(f"Node ({', '.join(of_node)}) and Python ({', '.join(of_python)}): the packages of both are installed.")
        first, second = node.plan(tree, command), python.plan(tree, of_python, command, app_dir)
        assert first.start is not None and second.start is not None  # noqa: S101, PT018 - there is a command
        env = {**first.start.env, **second.start.env}
        return Plan("node+python", [*first.steps, *second.steps], Start(shell(command), env))
    if of_node:
        say(f"Node: there is {', '.join(of_node)}.")
        return node.plan(tree, command)
    if of_python and not _only_helps(tree, of_python, pages, command):
        say(f"Python: there is {', '.join(of_python)}.")
        return python.plan(tree, of_python, command, app_dir)
    if pages and not command:
        say(f"Static site: there is {pages[0]}.")
        return static.plan(pages)
    if command:
        return Plan("procfile", start=Start(shell(command)))
    raise BuildError(
        "no_language",
        "what this is is not clear. Looked for: Dockerfile; Procfile with a line `web: COMMAND`; package.json (Node);"
        f" {', '.join(python.MARKS)} or main.py, app.py, server.py ... (Python); index.html here or in"
        f" {', '.join(static.FOLDERS[1:])} (static site). There is: {_listing(tree)}.{_lower(tree)}",
    )


def procfile(tree: Tree) -> str:
    """The command of its web process; empty without a Procfile. Raises BuildError."""
    if not tree.has("Procfile"):
        return ""
    found = _WEB.search(tree.text("Procfile"))
    if found is None:
        raise BuildError(
            "no_start_command",
            "the Procfile has no line `web: COMMAND`: add one with what starts the application, which has to listen on"
            " $PORT, or delete the Procfile",
        )
    return found[1].strip()


def _only_helps(tree: Tree, of_python: list[str], pages: list[str], command: str) -> bool:
    """Whether a script lies beside pages and is no application: then the pages it is."""
    if command or not pages or set(of_python) & set(python.MARKS):
        return False
    try:
        python.entry(tree)
    except BuildError:
        return True
    return False


def _lower(tree: Tree) -> str:
    """A word about a project that lies in a folder instead."""
    marks = ("Dockerfile", "Procfile", "package.json", *python.MARKS, "main.py", "app.py")
    places = [f"{folder}/{mark}" for folder in tree.names() for mark in marks if tree.has(f"{folder}/{mark}")]
    return (
        f" What is deployed has to lie in the workspace itself, and there is {places[0]}: move it up." if places else ""
    )


def _listing(tree: Tree) -> str:
    names = tree.names()
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "nothing at all"
