from pathlib import Path

import pytest
from codesessions_oci.settings import RegistrySettings, RegistrySettingsError

URL = "CODESESSIONS_REGISTRY_URL"


def read(url: str, **more: str) -> RegistrySettings:
    found = RegistrySettings.read({URL: url, **{f"CODESESSIONS_REGISTRY_{name}": text for name, text in more.items()}})
    assert found is not None
    return found


def test_no_url_is_no_registry() -> None:
    assert RegistrySettings.read({}) is None
    assert RegistrySettings.read({URL: " "}) is None


@pytest.mark.parametrize(
    ("url", "repository", "image"),
    [
        ("https://r.example.com", "demo/cs-1", "r.example.com/demo/cs-1@sha256:x"),
        ("https://r.example.com/team/code/", "team/code/demo/cs-1", "r.example.com/team/code/demo/cs-1@sha256:x"),
        ("http://192.0.2.1:5000/a", "a/demo/cs-1", "192.0.2.1:5000/a/demo/cs-1@sha256:x"),
    ],
)
def test_the_path_is_the_prefix_and_nodes_pull_by_the_same_name(url: str, repository: str, image: str) -> None:
    settings = read(url)
    found = settings.repository("demo", "cs-1")
    assert (found, settings.image(found, "sha256:x")) == (repository, image)


def test_nodes_may_know_the_registry_by_another_name() -> None:
    settings = read("http://registry.home.svc:5000/a", PULL_PREFIX="localhost:30500/a/")
    assert settings.image(settings.repository("demo", "cs-1"), "sha256:x") == "localhost:30500/a/demo/cs-1@sha256:x"


@pytest.mark.parametrize(
    "url",
    ["r.example.com", "ftp://r", "https://", "https://u:p@r", "https://r/?a=b", "https://r/Upper", "https://r:x/"],
)
def test_what_cannot_be_names_its_variable(url: str) -> None:
    with pytest.raises(RegistrySettingsError, match=URL):
        read(url)


@pytest.mark.parametrize("name", ["AUTH_FILE", "CA_FILE"])
def test_files_must_be_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(RegistrySettingsError, match=name):
        read("https://r", **{name: str(tmp_path / "none")})


@pytest.mark.parametrize("name", ["", "Upper", "a/../b", "a b", "x" * 256])
def test_a_repository_has_a_name(name: str) -> None:
    with pytest.raises(ValueError, match="repository"):
        read("https://r").repository(name)
