"""What the images are made of."""

from __future__ import annotations

import re
import tomllib

import pytest
from codesessions_dev.layout import REPO

PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())
IMAGES = ("platform", "sidecar", "workspace", "runtime", "buildah")
PINS = ("platform", "sidecar", "runtime", "dev", "peers")
MINIMAL = ("platform", "sidecar")


def dockerfile(name: str) -> str:
    return (REPO / "images" / name / "Dockerfile").read_text()


def pinned(name: str) -> set[str]:
    text = (REPO / "requirements" / f"{name}.txt").read_text()
    return {found.lower().replace("_", "-") for found in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", each)[0].lower().replace("_", "-") for each in requirements}


def test_the_platform_image_has_the_commands_of_the_project() -> None:
    scripts = {name: target for name, target in PROJECT["project"]["scripts"].items() if name != "codesessions-sidecar"}
    found = dict(re.findall(r"(codesessions[a-z-]*)=([a-z_.]+main)\b", dockerfile("platform")))
    assert {name: f"{module}:main" for name, module in found.items()} == scripts


@pytest.mark.parametrize("image", ["platform", "sidecar"])
def test_every_package_of_ours_that_is_copied_exists(image: str) -> None:
    copied = re.findall(r"^COPY ((?:crds|operator|api|sidecar)/\S+)", dockerfile(image), re.MULTILINE)
    assert copied
    assert all((REPO / folder).is_dir() for folder in copied)


@pytest.mark.parametrize("image", [each for each in IMAGES if each != "buildah"])
def test_what_is_copied_is_in_the_build_context(image: str) -> None:
    let_in = [line[1:] for line in (REPO / ".containerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(\S+)", dockerfile(image), re.MULTILINE)
    assert copied
    left_out = [each for each in copied if not any(each == path or each.startswith(f"{path}/") for path in let_in)]
    assert left_out == []


@pytest.mark.parametrize("image", IMAGES)
def test_images_do_not_run_as_root_and_say_what_they_are(image: str) -> None:
    text = dockerfile(image)
    last = text.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert users
    assert all(int(number) > 0 for user in users for number in user)
    assert "org.opencontainers.image.title" in last
    assert re.search(r"^ARG BASE_IMAGE=\S+$", text, re.MULTILINE)


@pytest.mark.parametrize("image", MINIMAL)
def test_services_run_without_a_system_around_them(image: str) -> None:
    last = dockerfile(image).rpartition("\nFROM ")[2]
    assert last.startswith("scratch\n")
    assert not re.search(r"^RUN", last, re.MULTILINE)
    assert "COPY --from=build /rootfs /" in last


@pytest.mark.parametrize("image", [each for each in IMAGES if "pip install" in dockerfile(each)])
def test_what_pip_installs_is_pinned_by_hash(image: str) -> None:
    commands = dockerfile(image).replace("\\\n", " ").splitlines()
    installs = [line for line in commands if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


@pytest.mark.parametrize("pins", PINS)
def test_every_package_is_pinned_by_hash_and_no_index_is_named(pins: str) -> None:
    text = (REPO / "requirements" / f"{pins}.txt").read_text()
    assert "://" not in text
    assert "index" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert "==" in requirement.splitlines()[0]
        assert "--hash=sha256:" in requirement


def test_the_pins_hold_what_the_project_asks_for() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    base = named(PROJECT["project"]["dependencies"])
    assert base | named(extras["operator"]) | named(extras["api"]) <= pinned("platform")
    assert (
        pinned("sidecar")
        == named(extras["sidecar"])
        == named((REPO / "requirements" / "sidecar.in").read_text().split())
    )
    assert named(PROJECT["dependency-groups"]["dev"]) | pinned("platform") <= pinned("dev")


def test_the_build_context_is_the_same_for_docker_and_podman() -> None:
    assert (REPO / ".dockerignore").read_text() == (REPO / ".containerignore").read_text()
