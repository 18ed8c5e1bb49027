"""The pod of the engine `buildah`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from codesessions_builder.order import VARIABLE, Order
from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines import choose
from codesessions_operator.builds.engines.buildah import Buildah, registries
from support.podsecurity import violations

REQUEST = BuildRequest(
    namespace="demo",
    build="bld-1",
    app="app-1",
    source_digest="sha256:" + "1" * 64,
    source_repository="p/demo/sources",
    image_repository="p/demo/app-1",
    session_id="cs_1",
    credentials_secret="pushes",
)
SETTINGS = BuildSettings(
    builder_image="platform:1",
    buildah_image="buildah:1",
    registry_url="https://reg.internal:5000/p",
    pull_prefix="reg.example/p",
    ca_bundle_config_map="bundle",
    env=(("HTTPS_PROXY", "http://proxy:3128"),),
)


def containers(settings: BuildSettings = SETTINGS) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    spec = Buildah().pod_spec(REQUEST, settings)
    fetch, bud, build = [*spec["initContainers"], *spec["containers"]]
    return fetch, bud, build


def env(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"]}


def test_it_is_chosen_where_the_platform_names_an_image() -> None:
    assert choose("buildah", SETTINGS) is not None
    assert choose("buildah", replace(SETTINGS, buildah_image="")) is None
    assert choose("buildah", replace(SETTINGS, builder_image="")) is None


def test_only_the_users_code_is_root_and_only_of_the_pods_own_namespace() -> None:
    spec = Buildah().pod_spec(REQUEST, SETTINGS)
    assert spec["hostUsers"] is False
    found = violations(spec)
    assert found
    assert [each for each in found if not each.startswith("b-bud ")] == []
    bud = containers()[1]["securityContext"]
    assert (bud["allowPrivilegeEscalation"], bud["runAsUser"]) == (False, 0)
    assert "capabilities" not in bud
    assert "privileged" not in bud


def test_what_runs_the_users_code_holds_no_secret_and_runs_between_those_that_do() -> None:
    fetch, bud, build = containers()
    mounted = [{mount["name"] for mount in each["volumeMounts"]} for each in (fetch, bud, build)]
    assert ["credentials" in each for each in mounted] == [True, False, True]
    assert not [name for name in env(bud) if name.startswith("CODESESSIONS_")]
    assert "HTTPS_PROXY" not in env(fetch) | env(build)


def test_the_users_code_reaches_nothing_that_is_trusted_afterwards() -> None:
    _, bud, build = containers()
    written = {each["name"] for each in bud["volumeMounts"] if not each.get("readOnly")}
    read = {each["name"] for each in build["volumeMounts"]}
    assert written & read == {"out"}
    assert all(each["readOnly"] for each in build["volumeMounts"])


def test_what_buildah_writes_is_mounted_as_its_root_is_read_only() -> None:
    bud = containers()[1]
    assert bud["securityContext"]["readOnlyRootFilesystem"]
    writable = {each["mountPath"] for each in bud["volumeMounts"] if not each.get("readOnly")}
    # storage(5), and the aliases of short names, without which `FROM python` fails (containers-registries.conf(5))
    assert {"/run", "/tmp", "/var/tmp", "/var/lib/containers", "/var/cache/containers"} <= writable


def test_settings_of_builds_are_arguments_of_the_dockerfile() -> None:
    bud = containers()[1]
    assert env(bud)["HTTPS_PROXY"] == "http://proxy:3128"
    assert "--build-arg=HTTPS_PROXY" in bud["command"]
    assert f"--label=codesessions.dev/source={REQUEST.source_digest}" in bud["command"]


def test_the_nodes_seccomp_profile_is_named_where_there_is_one() -> None:
    assert "seccompProfile" not in containers()[1]["securityContext"]
    found = containers(replace(SETTINGS, buildah_seccomp_profile="profiles/buildah.json"))[1]["securityContext"]
    assert found["seccompProfile"] == {"type": "Localhost", "localhostProfile": "profiles/buildah.json"}


def test_build_is_the_last_by_name_as_the_kubelet_reports_them() -> None:
    names = [str(each["name"]) for each in containers()]
    assert sorted(names) == names
    assert names[-1] == "build"


def test_the_registry_without_tls_is_named_to_buildah() -> None:
    assert "insecure" not in registries(SETTINGS)
    plain = registries(replace(SETTINGS, registry_url="http://reg.internal:5000/p"))
    assert 'location = "reg.internal:5000"\ninsecure = true' in plain


def test_push_reads_what_buildah_wrote() -> None:
    assert Order.read(env(containers()[2])[VARIABLE]).scratch_dir == "/out"
