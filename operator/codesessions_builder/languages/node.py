"""Node: packages by npm (or the package manager of the lock file), a build script, then a server or its pages."""

from __future__ import annotations

import json
import re
from typing import Any

from codesessions_builder.errors import BuildError
from codesessions_builder.image import Start
from codesessions_builder.plan import Plan, shell
from codesessions_builder.tree import Tree

MAINS = ("server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs", "src/server.js", "src/index.js")
PAGES = ("dist", "build", "out", "public", "dist/browser", "_site", ".output/public")
"""Where a build leaves its pages, in this order."""
_PLAIN = re.compile(r"node( [\w./=-]+)+")
_PLACEHOLDER = "no test specified"


def found(tree: Tree) -> list[str]:
    return ["package.json"] if tree.has("package.json") else []


def plan(tree: Tree, command: str) -> Plan:
    """`command`: of a Procfile, or empty. Raises BuildError."""
    package = read(tree)
    scripts = {name: str(text) for name, text in (package.get("scripts") or {}).items()}
    builds = "build" in scripts
    run, prune = "npm run", "npm prune --omit=dev"
    if not any(package.get(name) for name in ("dependencies", "devDependencies", "optionalDependencies", "workspaces")):
        steps, prune = [], ""
    elif tree.has("package-lock.json") or tree.has("npm-shrinkwrap.json"):
        steps = ["npm ci --include=dev"]
    elif tree.has("pnpm-lock.yaml"):
        steps, run, prune = ["npx --yes pnpm@9 install --frozen-lockfile --prod=false"], "npx --yes pnpm@9 run", ""
    elif tree.has("yarn.lock"):
        steps, run, prune = (
            ["npx --yes yarn@1 install --frozen-lockfile --production=false"],
            "npx --yes yarn@1 run",
            "",
        )
    else:
        steps = ["npm install --include=dev --no-package-lock"]
    if builds:
        steps.append(f"{run} build")
    start = _start(tree, package, scripts, command)
    if start and prune:
        steps.append(prune)
    return Plan(
        "node",
        steps,
        Start(shell(start), {"NODE_ENV": "production"}) if start else None,
        pages=() if start else PAGES,
        sought="a Procfile with a line `web: COMMAND`; in package.json a script `start` or the field `main`; "
        f"{', '.join(MAINS)}; after `npm run build`, an index.html in {', '.join(PAGES)}",
    )


def read(tree: Tree) -> dict[str, Any]:
    """package.json. Raises BuildError."""
    try:
        package = json.loads(tree.text("package.json"))
    except (ValueError, RecursionError) as error:
        raise BuildError("source_invalid", f"package.json cannot be read: {error}") from error
    if not isinstance(package, dict) or not isinstance(package.get("scripts") or {}, dict):
        raise BuildError("source_invalid", "package.json is not an object with `scripts` as one")
    return package


def _start(tree: Tree, package: dict[str, Any], scripts: dict[str, str], command: str) -> str:
    if command:
        return command
    if "start" in scripts:
        plain = scripts["start"].strip()
        # Without npm between, the signals reach the program.
        whole = _PLAIN.fullmatch(plain) and "prestart" not in scripts and "poststart" not in scripts
        return plain if whole else "npm run --silent start"
    main = package.get("main")
    if isinstance(main, str) and tree.has(main) and main not in {"index.js"}:
        return f"node {main}" if re.fullmatch(r"[\w./-]+", main) else ""
    return next((f"node {name}" for name in MAINS if tree.has(name)), "")
