"""Request bodies: bounded, parsed, checked; every refusal names the place (JSON pointer, RFC 6901)."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, ClassVar, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect, Request

from codesessions_api.parameters import MAX_SEQ
from codesessions_api.problems import Problem

MAX_TEXT_BYTES = 1 << 20
BODY_SECONDS = 30.0
"""How long a body may take to arrive."""


def _whole(text: str) -> str:
    """JSON can spell half a character (\\ud800 alone), which no UTF-8 can (RFC 8259, section 8.2)."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError("half_character", "half of a surrogate pair is no character") from error
    return text


Text = Annotated[str, AfterValidator(_whole)]

NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""What `kubectl get` and logs show must not move a terminal."""


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=False)

    max_bytes: ClassVar[int] = 4096
    """What the whole body may measure."""


class CreateSession(Body):
    """What a new session is for."""

    max_bytes: ClassVar[int] = 64 << 10  # 4,224 characters at up to 12 bytes each (\ud83d\ude00)

    project_name: Text = Field(
        min_length=1,
        max_length=128,
        pattern=NO_CONTROL,
        description="Name of the project, for people; one line without control characters.",
    )
    project_description: Text = Field(max_length=4096, description="What the project is about, for people.")


class SendInput(Body):
    """What is typed."""

    max_bytes: ClassVar[int] = 6 * MAX_TEXT_BYTES + 4096  # one byte of text is at most six of JSON (\u001b)

    text: Text = Field(description="What is typed, at most 1 MiB of UTF-8. A newline runs a command.")
    input_seq: int | None = Field(
        default=None,
        ge=1,
        le=MAX_SEQ,
        description="Counts up; what has a number that was taken before is not typed again, so a retry is safe.",
    )
    writer: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_whole)] | None = Field(
        default=None,
        description="Whose `inputSeq` it is: several who type into one session count each for themselves.",
    )


class Resize(Body):
    """The size of the terminal in characters."""

    rows: int = Field(ge=1, le=10_000, description="Height in characters.")
    cols: int = Field(ge=1, le=10_000, description="Width in characters.")


class RollBack(Body):
    """Which revision to run."""

    revision: int = Field(ge=1, le=2_000_000_000, description="Number of a revision that is kept.")


Model = TypeVar("Model", bound=Body)


async def read_body(request: Request, model: type[Model]) -> Model:
    """The body as a model. Raises Problem 400, 408, 413, 415 or 422."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "unsupported_media_type", "Send Content-Type: application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        detail = "Send the body as it is, without Content-Encoding."
        raise Problem(415, "unsupported_media_type", detail, headers={"Accept-Encoding": "identity"})
    raw = await _bounded(request, model.max_bytes)
    if not raw.strip():
        raise Problem(400, "malformed_json", "The body is empty: send a JSON object.")
    try:
        return model.model_validate(parse(raw))
    except ValidationError as error:
        _refuse(error, model)


async def _bounded(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 12 or int(declared) > limit):
        raise _too_large(limit)
    raw = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                raw += part
                if len(raw) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        detail = f"The body did not arrive within {BODY_SECONDS:.0f} s."
        raise Problem(408, "request_timeout", detail, headers={"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise Problem(400, "malformed_json", "The body ended early.") from error
    return bytes(raw)


def parse(raw: bytes) -> Any:
    """JSON (RFC 8259) without its ambiguities: UTF-8, no NaN, no member twice. Raises Problem 400."""
    try:
        return json.loads(raw.decode(), parse_constant=_no_constant, object_pairs_hook=_members)
    except RecursionError as error:
        raise Problem(400, "malformed_json", "The body is nested too deeply.") from error
    except ValueError as error:
        raise Problem(400, "malformed_json", f"The body is not JSON: {error}") from error


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _refuse(error: ValidationError, model: type[Body]) -> NoReturn:
    known = ", ".join(str(field.alias) for field in model.model_fields.values())
    plainer = {
        "extra_forbidden": f"There is no such field; there is {known}",
        "missing": "This field is required",
        "model_type": f"The body must be a JSON object with {known}",
    }
    errors, codes = [], set()
    for each in error.errors(include_url=False, include_context=False, include_input=False)[:20]:
        place = "".join(f"/{_printable(str(part)).replace('~', '~0').replace('/', '~1')}" for part in each["loc"])
        errors.append({"pointer": place, "detail": plainer.get(each["type"], each["msg"])})
        codes.add(each["type"])
    code = "unknown_field" if codes == {"extra_forbidden"} else "invalid_body"
    detail = "; ".join(f"{each['pointer'] or 'the body'}: {each['detail']}" for each in errors)
    raise Problem(422, code, detail, errors=errors) from error


def _printable(name: str) -> str:
    """A member's name as it may be repeated: no half surrogates, not endless."""
    return name[:128].encode("utf-8", "replace").decode()


def _too_large(limit: int) -> Problem:
    return Problem(413, "too_large", f"The body is over {limit} bytes; text goes in parts of at most 1 MiB.")
