"""Request bodies and parameters: bounded, parsed, checked; every refusal names the place."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.requests import Request

from codesessions_api.problems import Problem

MAX_TEXT_BYTES = 1 << 20
MAX_BODY_BYTES = 6 * MAX_TEXT_BYTES + 4096
"""A character of text is at most six bytes of JSON (\\u001b)."""
MAX_WAIT_SECONDS = 60
_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?(?=$|[,;\s])', re.IGNORECASE)


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)


class CreateSession(Body):
    project_name: str = Field(min_length=1, max_length=128, description="Name of the project, for people.")
    project_description: str = Field(max_length=4096, description="What the project is about, for people.")


class SendInput(Body):
    text: str = Field(description="What is typed, at most 1 MiB of UTF-8. A newline runs a command.")
    input_seq: int | None = Field(
        default=None, ge=1, le=2**63 - 1, description="Counts up; a number that was taken before is not typed again."
    )


class Resize(Body):
    rows: int = Field(ge=1, le=10_000, description="Height in characters.")
    cols: int = Field(ge=1, le=10_000, description="Width in characters.")


Model = TypeVar("Model", bound=Body)


async def read_body(request: Request, model: type[Model]) -> Model:
    """The body as a model. Raises Problem 400, 413, 415 or 422."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {"application/json", ""} and not kind.endswith("+json"):
        raise Problem(415, "unsupported_media_type", "Send application/json.")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_BODY_BYTES:
            raise _too_large()
    try:
        value: Any = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError as error:
        raise Problem(400, "malformed_json", f"The body is not JSON: {error}") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = [
            {"pointer": "/" + "/".join(map(str, each["loc"])), "detail": each["msg"]}
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        unknown = any(each["type"] == "extra_forbidden" for each in error.errors())
        code = "unknown_field" if unknown else "invalid_body"
        raise Problem(422, code, "; ".join(f"{e['pointer']}: {e['detail']}" for e in errors), errors=errors) from error


def _too_large() -> Problem:
    return Problem(413, "too_large", f"The body is over {MAX_BODY_BYTES} bytes; send text in parts of at most 1 MiB.")


def whole_number(request: Request, name: str, otherwise: int, least: int, most: int) -> int:
    """A query parameter. Raises Problem 422 that names it."""
    texts = request.query_params.getlist(name)
    if not texts:
        return otherwise
    text = texts[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        detail = f"{name} must be a whole number from {least} to {most}"
        raise Problem(422, "invalid_parameter", detail, errors=[{"pointer": name, "detail": detail}])
    return int(text)


def preferred_wait(request: Request) -> int | None:
    """Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), at most 60; None without one."""
    found = _WAIT.search(request.headers.get("prefer", ""))
    return min(int(found[1]), MAX_WAIT_SECONDS) if found else None
