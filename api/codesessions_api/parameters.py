"""Query parameters and preferences: checked, and refused with their name.

Parameters that are not known are ignored, as proxies and tracers add some; the same one twice is refused.
"""

from __future__ import annotations

from starlette.requests import Request

from codesessions_api.problems import bad_parameter

MAX_WAIT_SECONDS = 60
MAX_SEQ = 2**63 - 1
MAX_PAGE = 200


def text(request: Request, name: str) -> str | None:
    """A query parameter; None without it. Raises Problem 422 if it is there twice."""
    found = request.query_params.getlist(name)
    if len(found) > 1:
        raise bad_parameter(name, "must be given once")
    return found[0] if found else None


def whole_number(request: Request, name: str, otherwise: int, least: int, most: int) -> int:
    """A query parameter that is a whole number. Raises Problem 422 that names it."""
    given = text(request, name)
    if given is None:
        return otherwise
    if not (given.isascii() and given.isdigit() and len(given) < 20 and least <= int(given) <= most):
        raise bad_parameter(name, f"must be a whole number from {least} to {most}")
    return int(given)


def one_of(request: Request, name: str, known: tuple[str, ...]) -> str | None:
    """A query parameter that is one of some words; None without it. Raises Problem 422 that names it."""
    given = text(request, name)
    if given is not None and given not in known:
        raise bad_parameter(name, f"must be {' or '.join(known)}")
    return given


def preferred_wait(request: Request) -> int | None:
    """Seconds of `Prefer: wait=N` (RFC 7240, section 4.3), at most 60; None without one. The first counts.

    What cannot be read is ignored, as the RFC has it (section 2).
    """
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        number = value.strip().strip('"')
        if name.strip().lower() == "wait" and number.isascii() and number.isdigit():
            return min(int(number), MAX_WAIT_SECONDS) if len(number) < 10 else MAX_WAIT_SECONDS
    return None
