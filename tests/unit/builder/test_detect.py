"""What a source is taken for, and how it is started."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from codesessions_builder.detect import detect
from codesessions_builder.errors import BuildError
from codesessions_builder.languages.python import applications
from codesessions_builder.plan import Plan
from codesessions_builder.tree import Tree, module_of


class Source:
    def __init__(self, root: Path) -> None:
        self.root, self.said = root, list[str]()
        self._folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        self.tree = Tree(self._folder)

    def plan(self, *, engine: str = "auto", **files: str) -> Plan:
        return self.of(files, engine=engine)

    def of(self, files: dict[str, str], *, engine: str = "auto") -> Plan:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return detect(self.tree, engine, "/app", self.said.append)

    def close(self) -> None:
        os.close(self._folder)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    found = Source(tmp_path)
    yield found
    found.close()


def command(plan: Plan) -> str:
    assert plan.start is not None
    return plan.start.argv[-1]


FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "import flask\nserver = flask.Flask(__name__)\n"


@pytest.mark.parametrize(
    ("files", "start"),
    [
        ({"main.py": FASTAPI}, "python -m uvicorn main:app --host 0.0.0.0 --port $PORT"),
        ({"src/api/main.py": FASTAPI, "src/api/__init__.py": ""}, "uvicorn api.main:app"),
        ({"app/main.py": FASTAPI}, "uvicorn app.main:app"),
        ({"shop/__init__.py": FASTAPI, "requirements.txt": "fastapi"}, "uvicorn shop:app"),
        ({"app.py": FLASK}, "gunicorn --bind 0.0.0.0:$PORT"),
        ({"app.py": "def create_app():\n    return Flask(__name__)\n"}, "'app:create_app()'"),
        ({"manage.py": "", "shop/wsgi.py": ""}, "'shop.wsgi:application'"),
        ({"server.py": "import os; os.environ['PORT']"}, "exec python3 server.py"),
        ({"main.py": "print(1)", "app.py": FLASK}, "'app:server'"),
        ({"main.py": "x", "Procfile": "web: python main.py\nworker: y"}, "exec python main.py"),
    ],
)
def test_python_is_started_by_what_it_needs(source: Source, files: dict[str, str], start: str) -> None:
    plan = source.of(files)
    assert plan.language == "python"
    assert start in command(plan)


def test_python_packages_are_installed_where_the_image_looks(source: Source) -> None:
    plan = source.of({"main.py": FASTAPI, "requirements.txt": "fastapi\n"})
    assert any("-r requirements.txt" in step for step in plan.steps)
    assert any("import uvicorn" in step for step in plan.steps), "the server, if it is not among them"
    assert plan.start is not None
    assert plan.start.env["PATH"].startswith("/app/.venv/bin:")
    assert not source.of({"main.py": "PORT", "requirements.txt": "# nothing\n"}).steps


def test_a_lock_file_is_kept_to(source: Source) -> None:
    plan = source.of({"main.py": FASTAPI, "uv.lock": "", "pyproject.toml": "[project]\nname='x'\n"})
    assert "uv sync --frozen" in plan.steps[1]


def test_a_lock_file_that_is_out_of_date_is_not_taken_for_what_is_wanted(source: Source) -> None:
    lock = """
    [[package]]
    name = "x"
    source = { virtual = "." }
    [package.metadata]
    requires-dist = [{ name = "typing-extensions", specifier = ">=4" }]
    """
    asks = "[project]\nname='x'\ndependencies=['Typing_Extensions>=4'{}]\n"
    files = {"main.py": FASTAPI, "uv.lock": lock}
    assert source.of({**files, "pyproject.toml": asks.format("")}).steps
    with pytest.raises(BuildError, match=r"it has no httpx.* Run `uv lock`") as refused:
        source.of({**files, "pyproject.toml": asks.format(", 'httpx[http2]>=0.27'")})
    assert refused.value.code == "source_invalid"


@pytest.mark.parametrize(
    ("name", "text", "language"),
    [("main.py", FASTAPI, "python"), ("package.json", '{"scripts": {"start": "x"}}', "node")],
)
def test_a_byte_order_mark_is_no_part_of_a_file(source: Source, name: str, text: str, language: str) -> None:
    assert source.of({name: "\ufeff" + text}).language == language


@pytest.mark.parametrize(
    ("line", "argument"),
    [
        ("gunicorn 'a b':app --bind 0.0.0.0:${PORT:-80} 2>&1", "exec {}"),
        ("exec ./run", "{}"),
        ("PORT=80 A='x y' ./run", "exec env {}"),
        ("cd api && python main.py", "cd api && exec python main.py"),
        ("./migrate; A=1 ./serve", "./migrate; exec env A=1 ./serve"),
        ("serve --workers $(nproc) 'a; b'", "exec {}"),
        ("a | b", "{}"),
        ("a || b", "{}"),
        ("if a; then b; fi", "{}"),
        ("a &", "{}"),
        ("(cd x; y)", "{}"),
    ],
)
def test_the_program_that_stays_gets_the_signals_and_what_is_before_it_is_run(
    source: Source, line: str, argument: str
) -> None:
    assert command(source.of({"Procfile": f"web: {line}\n"})) == argument.format(line)


@pytest.mark.parametrize(
    ("package", "files", "steps", "start"),
    [
        ({"scripts": {"start": "node server.js"}}, {}, [], "exec node server.js"),
        ({"scripts": {"start": "next start -p $PORT"}}, {}, [], "exec npm run --silent start"),
        ({"scripts": {"start": "node a.js", "prestart": "x"}}, {}, [], "exec npm run --silent start"),
        ({"main": "lib/x.js"}, {"lib/x.js": ""}, [], "exec node lib/x.js"),
        ({}, {"index.js": ""}, [], "exec node index.js"),
        (
            {"dependencies": {"a": "1"}, "scripts": {"build": "b", "start": "node x"}},
            {"package-lock.json": ""},
            ["npm ci --include=dev", "npm run build", "npm prune --omit=dev"],
            "exec node x",
        ),
    ],
)
def test_node(source: Source, package: object, files: dict[str, str], steps: list[str], start: str) -> None:
    plan = source.of({"package.json": json.dumps(package), **files})
    assert (plan.language, list(plan.steps), command(plan)) == ("node", steps, start)


def test_node_without_a_server_leaves_pages(source: Source) -> None:
    plan = source.of(
        {"package.json": json.dumps({"devDependencies": {"vite": "1"}, "scripts": {"build": "vite build"}})}
    )
    assert plan.start is None
    assert plan.pages[0] == "dist"
    assert list(plan.steps) == ["npm install --include=dev --no-package-lock", "npm run build"]


@pytest.mark.parametrize(
    ("name", "folder"), [("index.html", "."), ("public/index.html", "public"), ("docs/index.html", "docs")]
)
def test_pages_are_found(source: Source, name: str, folder: str) -> None:
    plan = source.of({name: ""})
    assert (plan.language, list(plan.pages)) == ("static", [folder])
    assert name in source.said[-1]


def test_a_script_beside_pages_does_not_make_them_an_application(source: Source) -> None:
    assert source.of({"index.html": "", "main.py": "print('generate')"}).language == "static"
    assert source.of({"main.py": FASTAPI}).language == "python"


def test_a_dockerfile_is_the_other_engines(source: Source) -> None:
    with pytest.raises(BuildError) as caught:
        source.of({"Dockerfile": "", "index.html": ""})
    assert caught.value.code == "needs_buildah"
    assert source.plan(engine="layers").language == "static"
    assert "does not read it" in source.said[0]


def test_links_are_not_followed(source: Source, tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.mkdir()
    (secret / "index.html").write_text("s")
    (tmp_path / "public").symlink_to(secret)
    (tmp_path / "package.json").symlink_to(secret / "index.html")
    assert not source.tree.has("public/index.html")
    assert not source.tree.text("public/index.html")
    assert not source.tree.text("package.json")
    assert source.tree.names("public") == []


@pytest.mark.parametrize("text", ["app = ", "\0", "x" * 10, "(" * 5000, "app: FastAPI = FastAPI()"])
def test_a_module_that_cannot_be_parsed_has_no_application(text: str) -> None:
    assert list(applications(text)) == ([("app", "asgi")] if "FastAPI" in text else [])


@pytest.mark.parametrize(("path", "module"), [("main.py", "main"), ("a/b.py", "a.b"), ("a/__init__.py", "a")])
def test_modules_are_named_by_their_path(path: str, module: str) -> None:
    assert module_of(path) == module


def test_a_project_without_a_build_system_is_not_packaged(source: Source) -> None:
    project = '[project]\nname = "x"\nversion = "1"\ndependencies = ["fastapi>=0.1", "uvicorn[standard]"]\n'
    files = {"main.py": FASTAPI, "static/a.css": "", "templates/a.html": ""}
    steps = source.of({**files, "pyproject.toml": project}).steps
    assert any(step.endswith("'fastapi>=0.1' 'uvicorn[standard]'") for step in steps)
    packaged = f'{project}[build-system]\nrequires = ["hatchling"]\n'
    assert any(step.endswith(" .") for step in source.of({**files, "pyproject.toml": packaged}).steps)
    dynamic = '[project]\nname = "x"\ndynamic = ["version", "dependencies"]\n'
    assert any(step.endswith(" .") for step in source.of({**files, "pyproject.toml": dynamic}).steps)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"main.py": FASTAPI + "\ndef x(:\n"}, "main.py cannot be read as Python: line"),
        ({"shop/package.json": "{}"}, "there is shop/package.json: move it up"),
        ({"Procfile": "worker: x"}, "has to listen on $PORT"),
        ({"main.py": FASTAPI, "pyproject.toml": '[project]\ndependencies = "fastapi"\n'}, "PEP 621"),
    ],
)
def test_what_is_not_clear_is_said(source: Source, files: dict[str, str], words: str) -> None:
    with pytest.raises(BuildError, match=re.escape(words)):
        source.of(files)
