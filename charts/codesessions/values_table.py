"""`python charts/codesessions/values_table.py`: writes docs/values.md and defaults; `--check` says if they drifted.

Words and forms come from values.schema.json, defaults from values.yaml, which templates cannot read themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent
PAGE = CHART.parents[1] / "docs" / "values.md"
DEFAULTS = CHART / "files" / "defaults.yaml"
COMPONENTS = ("operator", "api", "gateway")
SCALED = "api"
"""A program that has every field."""
HEAD = "| value | default | what it is |\n|---|---|---|\n"
INTRODUCTION = """# Values of the chart

Written by `charts/codesessions/values_table.py` from the chart's `values.schema.json` and `values.yaml`.
Helm refuses what is not in here; what is null has its default. What a highly available installation sets is in the
chart's `values-ha.yaml` ([operations.md](operations.md)).
"""

Object = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """One that can be set."""

    path: str
    words: str
    default: Any

    def row(self, prefix: str = "", default: str = "") -> str:
        return f"| `{prefix}{self.path}` | {default or code(self.default)} | {self.words} |\n"


def resolve(node: Object, schema: Object) -> Object:
    """A node with what it refers to (JSON pointer, RFC 6901); what it says itself goes first."""
    while "$ref" in node:
        found: Any = schema
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = {**found, **{name: value for name, value in node.items() if name != "$ref"}}
    return node


def leaves(node: Object, schema: Object, values: Object, above: str = "") -> Iterator[Value]:
    """All that can be set below a node."""
    for name, part in node["properties"].items():
        if name not in values:
            continue
        found = resolve(part, schema)
        if "properties" in found:
            yield from leaves(found, schema, values[name], f"{above}{name}.")
        else:
            yield Value(f"{above}{name}", _words(found), values[name])


def _words(node: Object) -> str:
    choices = node.get("enum")
    told = node["description"].replace("|", "\\|")
    if not choices or all(str(each) in told for each in choices):
        return told
    return f"{told} One of {', '.join(f'`{each}`' for each in choices)}."


def page(schema: Object, values: Object) -> str:
    """The whole page, a section for each top-level value that has parts."""
    single, parts = "", ""
    for name, part in schema["properties"].items():
        node = resolve(part, schema)
        if name not in values or name in COMPONENTS:
            continue
        if "properties" not in node:
            single += Value(name, _words(node), values[name]).row()
            continue
        rows = "".join(each.row() for each in leaves(node, schema, values[name], f"{name}."))
        parts += f"\n## {name}\n{node['description']}\n\n{HEAD}{rows}"
    programs = resolve(schema["properties"][SCALED], schema)
    rows = "".join(
        each.row("*.", _by_component(each.path, values)) for each in leaves(programs, schema, values[SCALED])
    )
    words = "Each of the three programs has these; a default that differs is given for the three in this order.\n"
    return f"{INTRODUCTION}\n{HEAD}{single}\n## operator, api, gateway\n{words}\n{HEAD}{rows}{parts}"


def _by_component(path: str, values: Object) -> str:
    """The three defaults, or one if they are the same; a program without the field is passed over."""
    found = []
    for component in COMPONENTS:
        value: Any = values[component]
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if path.partition(".")[0] in values[component]:
            found.append(code(value))
        else:
            found.append("none")
    return found[0] if len(set(found)) == 1 else ", ".join(found)


def code(value: object) -> str:
    """A value as YAML would have it."""
    return f"`{json.dumps(value)}`"


def render() -> dict[Path, str]:
    """What is written, for the files as they are."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    defaults = yaml.safe_dump(values, sort_keys=False, width=120)
    return {PAGE: page(schema, values), DEFAULTS: f"# values.yaml without its words, by values_table.py\n{defaults}"}


def main() -> None:
    """Entry point; with `--check` exit 1 if a file is not as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file drifted")
    options = parser.parse_args()
    for path, fresh in render().items():
        if options.check and (not path.exists() or path.read_text() != fresh):
            sys.exit(f"{path.name} is not as generated: run python charts/codesessions/values_table.py")
        if not options.check:
            path.write_text(fresh)


if __name__ == "__main__":
    main()
