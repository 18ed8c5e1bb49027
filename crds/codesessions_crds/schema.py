"""From a pydantic model to a structural schema (Kubernetes: CustomResourceDefinition, structural schemas)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
_KEPT = {
    "type",
    "description",
    "default",
    "pattern",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
}


def structural(model: type[BaseModel]) -> Schema:
    """The model's schema, with references inlined and nothing that a structural schema forbids."""
    whole = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(whole, whole.get("$defs", {}))


def _convert(node: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _convert({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    if node.get("x-kubernetes-int-or-string"):
        return {key: node[key] for key in node if key != "title"}
    if "anyOf" in node:
        real = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
        if len(real) != 1:
            raise TypeError(f"a structural schema cannot say {node['anyOf']}")
        rest = {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
        return _convert({**real[0], **rest}, definitions)
    found = {key: value for key, value in node.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if found.get("default", ...) is None:
        del found["default"]
    if "properties" in node:
        found["properties"] = {name: _convert(child, definitions) for name, child in node["properties"].items()}
    if "items" in node:
        found["items"] = _convert(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        found["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    return found
