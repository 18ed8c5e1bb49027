"""What all resource models share."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

QUANTITY_PATTERN = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
"""Decimal number and suffix, never negative (Kubernetes API: resource.Quantity)."""
_QUANTITY = re.compile(QUANTITY_PATTERN)


class Resource(BaseModel):
    """A part of a resource: camelCase outside, snake_case inside, unknown fields dropped as the API server does."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def to_dict(self) -> dict[str, Any]:
        """As the API server wants it: camelCase, nothing that is unset."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


def _int_or_string(schema: dict[str, Any]) -> None:
    """What a structural schema allows for a number or text; the pattern is checked for text alone."""
    for key in [key for key in schema if key != "description"]:
        del schema[key]
    schema["x-kubernetes-int-or-string"] = True
    schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    schema["pattern"] = QUANTITY_PATTERN
    schema["maxLength"] = 32


def _checked_quantity(value: str | int) -> str | int:
    text = str(value)
    if len(text) > 32 or _QUANTITY.fullmatch(text) is None:
        raise ValueError("a quantity is a number and a suffix, for instance 500m, 2 or 1Gi")
    return value


Quantity = Annotated[
    str | int,
    AfterValidator(_checked_quantity),
    Field(
        description="A Kubernetes quantity, for instance 500m, 2 or 1Gi.",
        json_schema_extra=_int_or_string,
    ),
]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=40)]
Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


class Condition(Resource):
    """One observation about a resource (Kubernetes API conventions, typical status properties)."""

    type: str = Field(max_length=64, description="What is observed; Ready is always there.")
    status: str = Field(
        json_schema_extra={"enum": ["True", "False", "Unknown"]},
        description="Whether it holds: True, False or Unknown.",
    )
    reason: str = Field(max_length=64, description="Why, as one CamelCase word for programs.")
    message: str = Field(default="", max_length=32768, description="Why, and what to do, for people.")
    observed_generation: int = Field(default=0, description="The metadata.generation this was observed for.")
    last_transition_time: Timestamp = Field(description="When status changed last.")
