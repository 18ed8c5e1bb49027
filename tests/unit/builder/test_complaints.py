from __future__ import annotations

import json

import pytest
from codesessions_builder.complaints import complaint, telling
from codesessions_builder.main import rendered

NPM = """
> site@1.0.0 build
> npm ci

npm error code EUSAGE
npm error
npm error `npm ci` can only install packages when package.json and package-lock.json are in sync.
npm error Missing: ms@2.1.3 from lock file
npm error
npm error Clean install a project
npm error Usage:
npm error npm ci
npm error Run "npm help ci" for more info
npm error A complete log of this run can be found in: /cache/npm/_logs/debug-0.log
"""
PIP = """
$ python3 -m pip install -r requirements.txt
ERROR: Could not find a version that satisfies the requirement nosuch==9
ERROR: No matching distribution found for nosuch==9
  \u2570\u2500> See above for output.
note: This error originates from a subprocess, and is likely not a problem with pip.
"""


def test_npm_begins_with_the_cause() -> None:
    said = telling(NPM.splitlines())
    assert said.startswith("npm error code EUSAGE / npm error `npm ci` can only")
    assert said.endswith("Missing: ms@2.1.3 from lock file")


def test_others_end_with_it() -> None:
    assert telling(PIP.splitlines()).endswith("No matching distribution found for nosuch==9")


def test_it_is_not_endless() -> None:
    assert 0 < len(telling(["x" * 10_000] * 100)) <= 900


NODE = """
> node make.js

/app/make.js:1
throw new Error('no pages')
^

Error: no pages
    at Object.<anonymous> (/app/make.js:1:7)
    at Module._compile (node:internal/modules/cjs/loader:1830:14)
    at node:internal/main/run_main_module:33:47

Node.js v24.19.0
"""


def test_a_stack_trace_is_told_by_its_first_line() -> None:
    assert telling(NODE.splitlines()).endswith("Error: no pages")


def test_a_certificate_that_is_not_trusted_is_not_taken_for_a_missing_package() -> None:
    again = "WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(CERTIFICATE_VERIFY_FAILED)'"
    found = complaint(1, [again, *PIP.splitlines()])
    assert found.code == "step_failed"
    assert "Retrying" not in str(found)
    assert "build.caConfigMap" in str(found)
    assert "build.caConfigMap" not in str(complaint(1, PIP.splitlines()))


def test_colours_are_left_out() -> None:
    assert telling(["\x1b[31merror\x1b[0m: \x1b[1;4mno such file\x1b[m"]) == "error: no such file"


@pytest.mark.parametrize("letter", ["x", "\u0436", "\u6f22", "\U0001f600", "\x1b", '"'])
def test_a_complaint_in_any_script_can_be_read_again(letter: str) -> None:
    text = rendered({"code": "step_failed", "error": letter * 1500, "transient": False})
    assert len(text) <= 4000, "the kubelet keeps 4096 bytes of a termination log"
    found = json.loads(text)
    assert found["code"] == "step_failed"
    assert len(found["error"]) >= 400
