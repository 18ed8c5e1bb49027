"""`python charts/codesessions/readme.py`: writes the values tables of README.md; `--check` says if they drifted.

Words come from values.schema.json, defaults from values.yaml.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent
README = CHART / "README.md"
COMPONENTS = ("operator", "api", "gateway")
MARKS = re.compile(r"(<!-- values -->\n).*(<!-- end of values -->)", re.DOTALL)

Object = dict[str, Any]


def tables(schema: Object, values: Object) -> str:
    """All values as Markdown."""
    common = [
        f"| `{path}` | {_code(default)} | {text} |"
        for path, text, default in _leaves(schema, schema, values)
        if path.partition(".")[0] not in COMPONENTS
    ]
    programs = [
        f"| `*.{path}` | {_by_component(path, values)} | {text} |"
        for path, text, _ in _leaves(schema["$defs"]["component"], schema, values["operator"])
    ]
    return "\n".join(
        [
            "| value | default | what it is |",
            "|---|---|---|",
            *common,
            "",
            "`operator`, `api` and `gateway` have the same fields:",
            "",
            "| value | default | what it is |",
            "|---|---|---|",
            *programs,
            "",
        ]
    )


def _leaves(node: Object, schema: Object, values: Object, above: str = "") -> Iterator[tuple[str, str, Any]]:
    """Path, description and default of each value."""
    for name, part in node["properties"].items():
        if name not in values:
            continue
        path = f"{above}{name}"
        if "$ref" in part:
            part = {**schema["$defs"][part["$ref"].rpartition("/")[2]], **part}
        if "properties" in part:
            yield from _leaves(part, schema, values[name], f"{path}.")
        else:
            yield path, part["description"], values[name]


def _by_component(path: str, values: Object) -> str:
    found = []
    for component in COMPONENTS:
        value: Any = values[component]
        for name in path.split("."):
            value = value[name]
        found.append(_code(value))
    return found[0] if len(set(found)) == 1 else ", ".join(found)


def _code(value: object) -> str:
    return f"`{json.dumps(value)}`"


def render(text: str) -> str:
    """README.md with fresh tables."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return MARKS.sub(lambda match: match[1] + tables(schema, values) + match[2], text)


def main() -> None:
    """Entry point; with `--check` exit 1 if README.md is not as it would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if README.md drifted")
    options = parser.parse_args()
    text = README.read_text()
    fresh = render(text)
    if options.check and fresh != text:
        sys.exit("README.md of the chart is not as generated: run python charts/codesessions/readme.py")
    if not options.check:
        README.write_text(fresh)


if __name__ == "__main__":
    main()
