from __future__ import annotations

import json
from typing import Any

import pytest
from codesessions_operator.builds.engine import read_result
from codesessions_operator.builds.facts import BuildState, camel, dockerfile_advice, read_build_pod
from support.deploys import DIGEST, ended

RESULT = json.dumps({"imageDigest": DIGEST, "language": "static"})
RUNNING: dict[str, Any] = {"running": {}}


def pod(build: Any = None, steps: Any = None, *, deleted: bool = False, **status: Any) -> dict[str, Any]:
    containers = [("assemble", steps), ("build", build)]
    statuses = [{"name": name, "state": state} for name, state in containers if state is not None]
    metadata = {"name": "bld-a", **({"deletionTimestamp": "now"} if deleted else {})}
    return {"metadata": metadata, "status": {"containerStatuses": statuses, **status}}


def refusal(code: str, *, transient: bool = False) -> Any:
    return ended(75, json.dumps({"code": code, "error": "because", "transient": transient}))


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        (pod(), BuildState.RUNNING, "Building"),
        (pod(RUNNING, RUNNING), BuildState.RUNNING, "Building"),
        (pod(RUNNING, ended(1)), BuildState.RUNNING, "Building"),  # the builder reports what a step did
        (pod(ended(0, RESULT), RUNNING), BuildState.DONE, "Built"),
        (pod(ended(0, "fine")), BuildState.FAILED, "ResultMissing"),
        (pod(ended(0, json.dumps({"imageDigest": "sha256:short"}))), BuildState.FAILED, "ResultMissing"),
        (pod(refusal("no_language")), BuildState.FAILED, "NoLanguage"),
        (pod(refusal("registry_unavailable", transient=True)), BuildState.LOST, "RegistryUnavailable"),
        (pod(ended(137, reason="OOMKilled")), BuildState.FAILED, "OutOfMemory"),
        (pod(ended(2, "make: *** boom")), BuildState.FAILED, "BuildFailed"),
        (pod(deleted=True), BuildState.LOST, "PodDeleted"),
        (pod(phase="Failed", reason="Evicted", message="disk"), BuildState.LOST, "PodLost"),
        (pod(phase="Failed", reason="DeadlineExceeded"), BuildState.FAILED, "DeadlineExceeded"),
        (pod({"waiting": {"reason": "ErrImagePull", "message": "x"}}), BuildState.RUNNING, "ErrImagePull"),
    ],
)
def test_what_a_build_pod_says(found: Any, state: BuildState, reason: str) -> None:
    facts = read_build_pod(found)
    assert (facts.state, facts.reason) == (state, reason)


def test_the_last_lines_of_a_failure_are_in_its_message() -> None:
    assert read_build_pod(pod(ended(2, "make: *** boom"))).message.endswith("make: *** boom")


COPPY = """Trying to pull registry.test/base:1...
Copying blob sha256:3ac0
STEP 2/3: COPPY a b
time="2025-02-01T10:00:00Z" level=error msg="+(UNHANDLED LOGLEVEL) &imagebuilder.Step{Env:[]string{\\"A=1\\"}}"
Error: building at STEP "COPPY ": Build error: Unknown instruction: "COPPY" &imagebuilder.Step{Env:[]string{"A=1"}}
"""


def test_what_buildah_says_is_shown_without_its_innards() -> None:
    message = read_build_pod(pod(ended(125, COPPY))).message
    assert message == (
        "The build ended with exit code 125. Correct that line of the Dockerfile. Its last lines:\n"
        'STEP 2/3: COPPY a b\nError: building at STEP "COPPY ": Build error: Unknown instruction: "COPPY"'
    )


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "Error: initializing source docker://x: dial tcp: lookup x: no such host",
            "build.env",
        ),
        ('Error: pinging container registry registry.test: Get "https://registry.test/v2/": Not Found', "build.env"),
        ("Error: initializing source docker://x: reading manifest 1 in x: manifest unknown", "after FROM"),
        ("Error: reading manifest 1 in docker.io/x: unauthorized: authentication required", "everybody may pull"),
        ('Error: building at STEP "COPY a .": no items matching glob "/app/a" copied', ".dockerignore"),
        ('Error: building at STEP "RUN ls /x": while running runtime: exit status 2', "Correct that command"),
        ("make: *** boom", "deploy again"),
    ],
)
def test_a_dockerfile_that_fails_gets_advice(said: str, advice: str) -> None:
    assert advice in dockerfile_advice(said)


def test_a_result_of_strangers_is_taken_as_words() -> None:
    found = read_result(json.dumps({"imageDigest": ["x"], "language": "p" * 999, "error": 1, "transient": "yes"}))
    assert found is not None
    assert (found.image_digest, len(found.language), found.error, found.transient) == ("", 64, "", False)
    assert read_result("[1]") is None
    assert read_result("{") is None
    assert read_result("[" * 4096) is None
    assert read_result(None) is None


@pytest.mark.parametrize(
    ("code", "reason"), [("no_language", "NoLanguage"), ("a", "A"), ("", ""), ("x y", ""), ("1", "")]
)
def test_reasons_are_one_word(code: str, reason: str) -> None:
    assert camel(code) == reason
