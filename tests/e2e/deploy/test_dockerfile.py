"""A Dockerfile from a session to its host name, where the organisation's namespace allows it, and where not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from support.app import App
from support.kubectl import Kubectl

Make = Callable[[str], App]
ENFORCE = "pod-security.kubernetes.io/enforce"


@pytest.fixture
def runtime(kubectl: Kubectl) -> str:
    """The only base image that can be pulled everywhere."""
    operators = replace(kubectl, namespace="codesessions-system").list(
        "deployments", "-l", "app.kubernetes.io/component=operator"
    )
    env = operators[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    images = next(each["value"] for each in env if each["name"] == "CODESESSIONS_BUILD_RUNTIME_IMAGES")
    return str(json.loads(images)["runtime"])


@pytest.fixture
def baseline(kubectl: Kubectl) -> Iterator[None]:
    kubectl("label", "namespace", kubectl.namespace, f"{ENFORCE}=baseline", "--overwrite")
    yield
    kubectl("label", "namespace", kubectl.namespace, f"{ENFORCE}=restricted", "--overwrite")


def _project(app: App, runtime: str) -> None:
    serve = 'CMD ["python3", "-m", "http.server", "8080"]'
    app.write(
        Dockerfile=f"FROM {runtime}\nUSER 0\nCOPY index.html /app/\nRUN echo made >>/app/index.html\nUSER 1000\n{serve}"
    )
    app.write(index__html="<h1>a Dockerfile</h1>")


@pytest.mark.usefixtures("baseline")
def test_a_dockerfile_is_deployed_without_being_asked_for(make: Make, runtime: str) -> None:
    app = make("dockerfile")
    _project(app, runtime)
    build = app.deploy(seconds=300)
    assert build["status"] == "succeeded", build["message"]
    assert build["language"] == "dockerfile"
    assert app.until_page("a Dockerfile") == "<h1>a Dockerfile</h1>\nmade\n"
    app.until_log(build["id"], "There is a Dockerfile: buildah builds it", "RUN echo made")


def test_where_pod_security_forbids_it_the_build_says_what_to_do(make: Make, runtime: str) -> None:
    app = make("forbidden")
    _project(app, runtime)
    build = app.deploy()
    assert build["status"] == "failed"
    assert "pod-security.kubernetes.io/enforce=baseline" in build["message"]
