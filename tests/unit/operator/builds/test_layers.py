"""The pod of the engine `layers`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from codesessions_builder.order import VARIABLE, Order
from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines import choose
from codesessions_operator.builds.engines.layers import Layers, base_of
from support.podsecurity import violations

REQUEST = BuildRequest(
    namespace="demo",
    build="bld-1",
    app="app-1",
    source_digest="sha256:" + "1" * 64,
    source_repository="p/demo/sources",
    image_repository="p/demo/app-1",
    session_id="cs_1",
    user_id="user_1",
    credentials_secret="pushes",
)
SETTINGS = BuildSettings(
    builder_image="platform:1",
    runtime_images=(("runtime", "reg.example/p/runtime@sha256:" + "2" * 64),),
    registry_url="https://reg.internal:5000/p",
    pull_prefix="reg.example/p",
    ca_bundle_config_map="bundle",
    env=(("HTTPS_PROXY", "http://proxy:3128"),),
)


def containers(settings: BuildSettings = SETTINGS) -> tuple[dict[str, object], dict[str, object]]:
    steps, build = Layers().pod_spec(REQUEST, settings)["containers"]
    return steps, build


def env(container: dict[str, object]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}  # type: ignore[attr-defined]


def test_it_passes_pod_security_restricted() -> None:
    assert violations(Layers().pod_spec(REQUEST, SETTINGS)) == []


def test_what_runs_the_projects_code_holds_no_secret() -> None:
    steps, build = containers()
    mounted = [{mount["name"] for mount in each["volumeMounts"]} for each in (steps, build)]  # type: ignore[attr-defined]
    assert "credentials" not in mounted[0]
    assert "credentials" in mounted[1]
    assert not [name for name in env(steps) if name.startswith("CODESESSIONS_")]
    assert env(build)["CODESESSIONS_REGISTRY_AUTH_FILE"] == "/etc/codesessions/registry/config.json"


def test_proxies_are_for_the_steps_alone() -> None:
    steps, build = containers()
    assert env(steps)["HTTPS_PROXY"] == "http://proxy:3128"
    assert env(steps)["PIP_CERT"] == env(steps)["NODE_EXTRA_CA_CERTS"] == "/etc/codesessions/ca/ca.crt"
    assert "HTTPS_PROXY" not in env(build)


def test_the_builder_is_told_what_to_build() -> None:
    order = Order.read(env(containers()[1])[VARIABLE])
    assert (order.source_digest, order.image_repository) == (REQUEST.source_digest, "p/demo/app-1")
    assert (order.base, order.base_registry) == ("p/runtime@sha256:" + "2" * 64, "")


def test_build_is_the_last_by_name_as_the_kubelet_reports_them() -> None:
    names = [str(each["name"]) for each in containers()]
    assert sorted(names)[-1] == names[-1] == "build"


@pytest.mark.parametrize(
    ("image", "registry", "name"),
    [
        ("reg.example/p/runtime:1", "", "p/runtime:1"),
        ("reg.internal:5000/p/runtime:1", "", "p/runtime:1"),
        ("reg.internal:5000/other/runtime:1", "", "other/runtime:1"),
        ("ghcr.io/x/runtime:1", "https://ghcr.io", "x/runtime:1"),
        ("docker.io/x/runtime", "https://registry-1.docker.io", "x/runtime"),
        ("x/runtime", "https://registry-1.docker.io", "x/runtime"),
        ("python:3", "https://registry-1.docker.io", "library/python:3"),
    ],
)
def test_where_the_base_is(image: str, registry: str, name: str) -> None:
    assert base_of(image, SETTINGS) == (registry, name)


def test_without_a_runtime_image_there_is_no_engine() -> None:
    assert choose("auto", SETTINGS) is not None
    assert choose("layers", SETTINGS) is not None
    assert choose("auto", replace(SETTINGS, runtime_images=())) is None
    assert choose("auto", replace(SETTINGS, builder_image="")) is None
