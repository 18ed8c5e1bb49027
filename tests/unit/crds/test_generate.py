from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from codesessions_crds import generate
from codesessions_crds.names import GROUP, VERSION

DEFINITIONS = {item["metadata"]["name"]: item for item in generate.definitions()}
FORBIDDEN = {"$ref", "$defs", "definitions", "title", "const", "examples", "additionalItems", "oneOf", "allOf", "not"}


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


def schema_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = DEFINITIONS[f"{name}.{GROUP}"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


KINDS = ("codesessions", "apikeys", "apps", "builds")
ALL = [(name, path, node) for name in KINDS for path, node in walk(schema_of(name))]
IDS = [f"{name}{path}" for name, path, _ in ALL]


@pytest.mark.parametrize("folder", generate.FOLDERS, ids=lambda folder: folder.relative_to(generate.ROOT).as_posix())
def test_the_files_are_as_generated(folder: Any) -> None:
    for name, text in generate.files().items():
        assert (folder / name).read_text() == text, "run `make generate`"


def test_the_files_read_back_as_the_definitions() -> None:
    assert [yaml.safe_load(text) for text in generate.files().values()] == generate.definitions()


@pytest.mark.parametrize(("name", "path", "node"), ALL, ids=IDS)
def test_every_node_is_structural(name: str, path: str, node: dict[str, Any]) -> None:
    assert not FORBIDDEN & set(node)
    if node.get("x-kubernetes-int-or-string"):
        assert "type" not in node
        assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}]
        return
    assert "anyOf" not in node
    assert isinstance(node["type"], str)
    assert "properties" not in node or "additionalProperties" not in node


@pytest.mark.parametrize(("name", "path", "node"), ALL, ids=IDS)
def test_every_field_is_explained(name: str, path: str, node: dict[str, Any]) -> None:
    if path.endswith(("[]", "{}")):  # what kubectl explain shows is the list's own description
        return
    assert node.get("description"), path


@pytest.mark.parametrize(("name", "path", "node"), ALL, ids=IDS)
def test_what_a_user_can_write_is_bounded(name: str, path: str, node: dict[str, Any]) -> None:
    if node.get("type") == "string":
        assert "maxLength" in node or "enum" in node or "format" in node, path
    if node.get("type") == "array":
        assert "maxItems" in node, path
    if "additionalProperties" in node:
        assert "maxProperties" in node, path


@pytest.mark.parametrize("name", KINDS)
def test_names_and_shape(name: str) -> None:
    spec = DEFINITIONS[f"{name}.{GROUP}"]["spec"]
    assert (spec["group"], spec["scope"], spec["names"]["plural"]) == (GROUP, "Namespaced", name)
    assert spec["names"]["categories"] == ["codesessions-all"]
    assert [version["name"] for version in spec["versions"]] == [VERSION]
    assert schema_of(name)["required"] == ["spec"]


def test_defaults_are_those_of_the_contract() -> None:
    spec = schema_of("codesessions")["properties"]["spec"]
    assert spec["required"] == ["projectName"]
    assert {key: value["default"] for key, value in spec["properties"].items() if "default" in value} == {
        "projectDescription": "",
        "userId": "",
        "state": "Running",
        "startTimeoutSeconds": 120,
        "maxDurationSeconds": 0,
        "ttlSecondsAfterFinished": 604800,
    }


def test_status_is_a_subresource_and_can_be_selected_by() -> None:
    version = DEFINITIONS[f"codesessions.{GROUP}"]["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert {field["jsonPath"] for field in version["selectableFields"]} >= {".spec.userId", ".status.phase"}


def test_no_rule_is_longer_than_the_api_server_takes() -> None:
    for definition in DEFINITIONS.values():
        for rule in json.loads(json.dumps(definition["spec"]["versions"][0]["schema"]))["openAPIV3Schema"][
            "properties"
        ]["spec"]["x-kubernetes-validations"]:
            assert rule["message"]
            assert len(rule["message"]) < 2048


def test_check_says_what_drifted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "FOLDERS", (tmp_path / "crds",))
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    with pytest.raises(SystemExit, match=r"crds/codesessions\.codesessions\.dev\.yaml"):
        generate.main()
    assert not (tmp_path / "crds").exists()
    monkeypatch.setattr("sys.argv", ["generate"])
    generate.main()
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    generate.main()
