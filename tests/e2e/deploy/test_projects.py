"""Projects as people have them, with packages from an index, through the whole way; and the same ones broken.

With CODESESSIONS_DEPLOYS=full.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime

import pytest
from support.app import App, Object

pytestmark = pytest.mark.skipif(os.environ.get("CODESESSIONS_DEPLOYS") != "full", reason="CODESESSIONS_DEPLOYS=full")

Make = Callable[[str], App]
FASTAPI = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def index() -> dict[str, str]:
    return {"says": "hello from FastAPI"}
"""
PACKAGE = {
    "name": "pages",
    "version": "1.0.0",
    "scripts": {"build": "node make.js"},
    "devDependencies": {"ms": "2.1.3"},
}
BUILD = """
const fs = require("fs"), ms = require("ms");
fs.mkdirSync("dist", {recursive: true});
fs.writeFileSync("dist/index.html", "a minute is " + ms("1m") + " ms");
"""


def building(build: Object) -> float:
    """Seconds of the phase in which it is built."""
    (phase,) = [each for each in build["phases"] if each["phase"] == "building"]
    begun, ended = (datetime.fromisoformat(phase[name]) for name in ("startedAt", "finishedAt"))
    return (ended - begun).total_seconds()


def test_fastapi_by_requirements_and_what_it_fetched_is_kept_for_the_next_build(make: Make) -> None:
    app = make("fastapi")
    app.write(requirements__txt="fastapi\nuvicorn", main__py=FASTAPI)
    first = app.deploy(seconds=240)
    assert first["status"] == "succeeded", first["message"]
    assert first["language"] == "python"
    assert "hello from FastAPI" in app.until_page("hello from FastAPI")
    app.until_log(first["id"], "Dependency cache: kept")
    app.write(main__py=FASTAPI.replace("hello", "goodbye"))
    second = app.deploy(seconds=240)
    assert second["status"] == "succeeded", second["message"]
    app.until_page("goodbye")
    app.until_log(second["id"], "files of the last build", "with the packages of the last build")
    print(f"built in {building(first):.1f} s, then with the cache in {building(second):.1f} s")
    app.write(requirements__txt="fastapi\nuvicorn\nno-such-package-of-anybody==9.9")
    broken = app.deploy(seconds=240)
    assert (broken["status"], broken["reason"]) == ("failed", "StepFailed")
    assert "no-such-package-of-anybody" in broken["message"]
    app.until_page("goodbye")


def test_node_with_a_build_script_becomes_its_pages(make: Make) -> None:
    app = make("node")
    app.write(package__json=json.dumps(PACKAGE), make__js=BUILD)
    found = app.deploy(seconds=240)
    assert found["status"] == "succeeded", found["message"]
    assert found["language"] == "node"
    assert app.until_page("a minute") == "a minute is 60000 ms"
    app.write(make__js="throw new Error('the pages are not to be made')")
    broken = app.deploy(seconds=240)
    assert (broken["status"], broken["reason"]) == ("failed", "StepFailed")
    assert "the pages are not to be made" in broken["message"]
