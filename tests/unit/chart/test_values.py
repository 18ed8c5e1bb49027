"""Values, their schema and their documentation say the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support.helm import CHART, URL, helm

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """With what it refers to (JSON pointer, RFC 6901)."""
    while "$ref" in node:
        found: Any = SCHEMA
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = {**found, **{name: value for name, value in node.items() if name != "$ref"}}
    return node


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every named value of the schema."""
    for name, part in node.get("properties", {}).items():
        found = resolve(part)
        yield f"{path}{name}", found
        yield from nodes(found, f"{path}{name}.")
        yield from nodes(resolve(found.get("items", {})), f"{path}{name}[].")


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{name}.")


def test_every_value_has_a_default_and_every_default_is_in_the_schema() -> None:
    declared = {path for path, _ in nodes(SCHEMA) if "[]" not in path} - {"global", "enabled"}
    fields = ("resources", "podSecurityContext", "securityContext", "strategy")
    free = {f"{component}.{each}" for component in ("operator", "api", "gateway") for each in fields}
    free |= {"grafanaDashboard.labels", "registry.bundled.resources"}
    written = {path for path in leaves(VALUES) if not any(path.startswith(f"{each}.") for each in free)}
    assert written == declared


def test_every_value_is_described() -> None:
    assert [path for path, node in nodes(SCHEMA) if not node.get("description")] == []


def test_no_object_takes_fields_that_it_does_not_know() -> None:
    open_objects = [
        path for path, node in nodes(SCHEMA) if "properties" in node and node.get("additionalProperties") is not False
    ]
    assert open_objects == []
    assert SCHEMA["additionalProperties"] is False


def test_the_table_of_values_is_as_generated() -> None:
    answer = subprocess.run(
        [sys.executable, CHART / "values_table.py", "--check"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_a_chart_that_is_part_of_another_takes_global_values_and_a_condition() -> None:
    values = {**URL, "global": {"registry": "x"}, "enabled": True}
    assert helm("template", CHART, values=values).returncode == 0


@pytest.mark.parametrize(
    "values",
    [
        URL,
        {
            "ingress": {"enabled": True, "api": {"host": "api.example.com"}, "pty": {"host": "pty.example.com"}},
            "networkPolicy": {"enabled": True},
            "podMonitor": {"enabled": True},
            "organizations": [{"name": "demo"}],
        },
    ],
)
def test_lint(values: dict[str, Any]) -> None:
    answer = helm("lint", "--strict", CHART, values=values)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_notes_say_what_to_do_next() -> None:
    values = {"ingress": {"enabled": True, "api": {"host": "api.example.com"}, "pty": {"host": "pty.example.com"}}}
    answer = helm("install", "codesessions", CHART, "--namespace=system", "--dry-run=client", values=values)
    assert answer.returncode == 0, answer.stderr
    notes = answer.stdout.partition("NOTES:")[2]
    assert "codesessions keys create --org demo" in notes
    assert "curl https://api.example.com/api/v1/code-sessions" in notes
    assert "port-forward" not in notes
    assert "https://pty.example.com/<session id>" in notes


def test_the_chart_is_packaged_without_its_tools() -> None:
    assert "values_table.py" in (CHART / ".helmignore").read_text().split()
