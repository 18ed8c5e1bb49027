"""Python: packages by pip or uv, and the server that its framework wants."""

from __future__ import annotations

import ast
import hashlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from typing import Any

from codesessions_builder.cache import VARIABLE as CACHE
from codesessions_builder.errors import BuildError
from codesessions_builder.image import Start
from codesessions_builder.plan import Plan, shell
from codesessions_builder.tree import MOST, Tree, module_of

MARKS = ("requirements.txt", "pyproject.toml", "uv.lock", "setup.py", "Pipfile", "manage.py")
NAMES = ("main", "app", "server", "wsgi", "asgi", "api", "run", "index", "application")
ASGI = frozenset({"FastAPI", "Starlette", "Quart", "Litestar", "BlackSheep", "Sanic", "get_asgi_application"})
WSGI = frozenset({"Flask", "Bottle", "get_wsgi_application", "Dash", "Pyramid", "make_wsgi_app"})
FACTORIES = ("create_app", "make_app")
VENV = ".venv"
_LOCK = "uv sync --frozen --no-dev --no-editable --python-preference only-system"


def found(tree: Tree) -> list[str]:
    marks = [name for name in MARKS if tree.has(name)]
    return marks or [path for path in candidates(tree) if tree.has(path)]


def candidates(tree: Tree) -> list[str]:
    """Where an application is looked for, likeliest first."""
    folders = ["", "src/", "app/", "api/", "backend/", "server/"]
    packages = [name for name in tree.names() if tree.has(f"{name}/__init__.py")]
    packages += [f"src/{name}" for name in tree.names("src") if tree.has(f"src/{name}/__init__.py")]
    folders += [f"{name}/" for name in packages if f"{name}/" not in folders]
    paths = [f"{folder}{name}.py" for folder in folders for name in NAMES]
    return paths + [f"{name}/__init__.py" for name in packages]


def plan(tree: Tree, evidence: list[str], command: str, app_dir: str) -> Plan:
    """`command`: of a Procfile, or empty. Raises BuildError."""
    server, start = ("", command) if command else entry(tree)
    steps = _install(tree, app_dir, server)
    env = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    if steps:
        env |= {"VIRTUAL_ENV": f"{app_dir}/{VENV}", "PATH": f"{app_dir}/{VENV}/bin:/usr/local/bin:/usr/bin:/bin"}
    if tree.is_folder("src"):
        env["PYTHONPATH"] = f"{app_dir}/src"
    return Plan("python", steps, Start(shell(start), env), sought=", ".join(evidence))


def _install(tree: Tree, app_dir: str, server: str) -> list[str]:
    venv = f"{app_dir}/{VENV}"
    make = f"python3 -m venv --without-pip {venv}"
    pip = f"python3 -m pip --python {venv}/bin/python install --disable-pip-version-check --no-compile --quiet"
    if tree.has("uv.lock") and tree.has("pyproject.toml"):
        _check_lock(tree)
        steps = [
            "python3 -m pip install --disable-pip-version-check --quiet --target /tmp/uv uv",
            f"UV_PROJECT_ENVIRONMENT={venv} UV_LINK_MODE=copy /tmp/uv/bin/{_LOCK}",
        ]
    elif tree.has("requirements.txt"):
        steps = [make, f"{pip} -r requirements.txt"] if _asks(tree.text("requirements.txt")) else []
    elif tree.has("pyproject.toml"):
        steps = _of_pyproject(tree, make, pip)
    elif tree.has("setup.py"):
        steps = [make, f"{pip} ."]
    elif tree.has("Pipfile"):
        raise BuildError("unsupported", "a Pipfile is not understood: write requirements.txt (pipenv requirements)")
    else:
        steps = []
    if server:
        steps = steps or [make]
        steps.append(f"{venv}/bin/python -c 'import {server}' 2>/dev/null || {pip} {server}")
    return _kept(tree, app_dir, steps, make) if make in steps else steps


def _kept(tree: Tree, app_dir: str, steps: list[str], make: str) -> list[str]:
    """The steps, which begin with the environment of the last build where what it was made of is the same.

    pip then looks it over, and fetches nothing that is there (its own cache is of use only with indexes that allow it).
    """
    made_of = [tree.text(name) for name in ("requirements.txt", "pyproject.toml", "setup.py")]
    key = hashlib.sha256("\0".join([*steps, *made_of]).encode()).hexdigest()[:16]
    name = f'"${{{CACHE}:-/nowhere}}/venv-$(python3 -V | tr -dc 0-9.)-{key}.tar"'
    restore = (
        f"if tar -C {app_dir} -xf {name} 2>/dev/null; then echo 'with the packages of the last build'; else {make}; fi"
    )
    keep = (
        f'if [ -n "${{{CACHE}:-}}" ] && [ ! -f {name} ]; then'
        f' rm -f "${CACHE}"/venv-*.tar; tar -C {app_dir} -cf {name} {VENV}; fi'
    )
    return [restore if step == make else step for step in steps] + [keep]


def _toml(tree: Tree, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(tree.text(name))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BuildError("source_invalid", f"{name} cannot be read: {error}") from error


def _check_lock(tree: Tree) -> None:
    """uv is told `--frozen`, as `--locked` asks for the very index that the lock was made with; so nobody else sees
    that pyproject.toml has got a dependency since.

    Raises BuildError.
    """
    project = _toml(tree, "pyproject.toml").get("project")
    if len(tree.text("uv.lock").encode()) >= MOST or not isinstance(project, dict):
        return
    packages = _toml(tree, "uv.lock").get("package")
    mine = [each for each in _tables(packages) if each.get("source") in ({"virtual": "."}, {"editable": "."})]
    if len(mine) != 1:
        return
    metadata = next(iter(_tables([mine[0].get("metadata")])), {})
    locked = {_name(str(each.get("name"))) for each in _tables(metadata.get("requires-dist"))}
    asked = project.get("dependencies")
    missing = [each for each in asked if _name(str(each)) not in locked] if isinstance(asked, list) else []
    if missing:
        raise BuildError(
            "source_invalid",
            f"uv.lock is older than pyproject.toml: it has no {', '.join(str(each) for each in missing[:5])}. Run"
            " `uv lock` and deploy again",
        )


def _tables(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _name(requirement: str) -> str:
    """The normalised name of what a requirement asks for (PEP 503, PEP 508)."""
    found = re.match(r"\s*([A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", found[1] if found else "").lower()


def _asks(requirements: str) -> bool:
    return any(line.strip() and not line.strip().startswith("#") for line in requirements.splitlines())


def _of_pyproject(tree: Tree, make: str, pip: str) -> list[str]:
    """A project that names no build system is an application, which is not to be packaged: its dependencies are all.

    Raises BuildError.
    """
    document = _toml(tree, "pyproject.toml")
    project = document.get("project")
    if (
        "build-system" not in document
        and isinstance(project, dict)
        and "dependencies" not in project.get("dynamic", [])
    ):
        asked = project.get("dependencies") or []
        if not isinstance(asked, list) or not all(isinstance(each, str) for each in asked):
            raise BuildError("source_invalid", "pyproject.toml: project.dependencies is not a list of texts (PEP 621)")
        return [make, f"{pip} {shlex.join(asked)}"] if asked else []
    return [make, f"{pip} ."] if project or "poetry" in document.get("tool", {}) else []


def entry(tree: Tree) -> tuple[str, str]:
    """The server it needs (a package) or an empty text, and the command that starts it. Raises BuildError."""
    if tree.has("manage.py"):
        for name in tree.names():
            if tree.has(f"{name}/wsgi.py"):
                return "gunicorn", _gunicorn(f"{name}.wsgi:application")
    scripts = []
    for path in candidates(tree):
        if not tree.has(path):
            continue
        module = module_of(path).removeprefix("src.")
        for name, kind in applications(tree.text(path)):
            if kind == "asgi":
                return "uvicorn", f"python -m uvicorn {module}:{name} --host 0.0.0.0 --port $PORT --proxy-headers"
            return "gunicorn", _gunicorn(f"{module}:{name}")
        scripts.append(path)
    for path in scripts:
        if path.count("/") == 0 and _listens(tree.text(path)):
            return "", f"python3 {path}"
    raise BuildError(
        "no_start_command",
        "this is Python, but how to start it is not clear. Looked for: a Procfile with a line `web: COMMAND`; manage.py"
        " (Django); in main.py, app.py, server.py, wsgi.py, asgi.py and the like, here, in src/ and in packages: an"
        " application (FastAPI, Starlette, Quart, Flask, Bottle ...) or a script that listens on $PORT."
        + (f" There are: {', '.join(scripts[:10])}." if scripts else " None of them is there.")
        + "".join(
            f" {path} cannot be read as Python: {why}." for path in scripts[:3] if (why := _fault(tree.text(path)))
        ),
    )


def _fault(text: str) -> str:
    """Why a module cannot be parsed; empty if it can."""
    try:
        ast.parse(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return ""


def _gunicorn(target: str) -> str:
    return f"python -m gunicorn --bind 0.0.0.0:$PORT --workers 2 --threads 4 --worker-tmp-dir /tmp '{target}'"


def _listens(text: str) -> bool:
    return any(
        word in text for word in ("PORT", "http.server", "serve_forever", "socket", "run_app", "app.run", "listen")
    )


def applications(text: str) -> Iterator[tuple[str, str]]:
    """Names of applications in a module, and what calls them: asgi or wsgi."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not isinstance(value, ast.Call):
            continue
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        name = next((target.id for target in targets if isinstance(target, ast.Name)), "")
        if name and called in ASGI | WSGI:
            yield name, "asgi" if called in ASGI else "wsgi"
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name in FACTORIES and not node.args.args:
            kind = "asgi" if any(word in text for word in ("FastAPI(", "Starlette(", "Quart(")) else "wsgi"
            if kind == "wsgi" and ("Flask(" in text or "Bottle(" in text):
                yield f"{node.name}()", "wsgi"
