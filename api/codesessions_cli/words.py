"""Words of the command line as values. Each raises argparse.ArgumentTypeError, whose text argparse shows."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import timedelta

from codesessions_crds.apikey import RateLimit, RateLimits, Scope
from codesessions_crds.meta import QUANTITY_PATTERN
from pydantic import ValidationError

_UNITS = {"m": 60, "h": 3600, "d": 86400}
_LONGEST = timedelta(days=36500)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?")
LONGEST_LABEL = 63
LONGEST_ORG = LONGEST_LABEL - len("org_")


def duration(text: str) -> timedelta:
    """`30d`, `12h`, `15m`; at most a hundred years."""
    found = re.fullmatch(r"(\d{1,8})([mhd])", text, re.ASCII)
    if found is None or int(found[1]) == 0:
        raise ArgumentTypeError(f"{text!r} is not a duration such as 30d, 12h or 15m")
    wanted = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if wanted > _LONGEST:
        raise ArgumentTypeError("at most 36500d; leave it out for a key that does not expire")
    return wanted


def scopes(text: str) -> list[str]:
    """Scopes separated by commas, each once."""
    wanted = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    known = [scope.value for scope in Scope]
    if not wanted or any(word not in known for word in wanted):
        raise ArgumentTypeError(f"choose from {', '.join(known)}")
    return wanted


def organization(text: str) -> str:
    """The name of a new organisation, which its namespace will have (RFC 1123 label)."""
    if len(text) > LONGEST_ORG or _NAME.fullmatch(text) is None:
        raise ArgumentTypeError(f"at most {LONGEST_ORG} of a-z, 0-9 and -, not at the ends")
    return text


def label(text: str) -> str:
    """A label's value, as an organisation's id is one."""
    if len(text) > LONGEST_LABEL or _LABEL.fullmatch(text) is None:
        raise ArgumentTypeError("this is no organisation's name")
    return text


def namespace(text: str) -> str:
    """A namespace's name (RFC 1123 label)."""
    if len(text) > LONGEST_LABEL or _NAME.fullmatch(text) is None:
        raise ArgumentTypeError("this is no namespace's name")
    return text


def description(text: str) -> str:
    """What a key is for."""
    if len(text) > 256:
        raise ArgumentTypeError("at most 256 characters")
    return text


def user(text: str) -> str:
    """Whose key it is."""
    if not 1 <= len(text) <= 128:
        raise ArgumentTypeError("from 1 to 128 characters")
    return text


def count(text: str) -> str:
    """How many there may be; `none` for as many as there are."""
    if text != "none" and not (text.isascii() and text.isdigit() and len(text) < 8):
        raise ArgumentTypeError(f"{text!r} is no number such as 20, nor none")
    return text


def quantity(text: str) -> str:
    """A quantity of Kubernetes; `none` for no limit."""
    if text != "none" and (len(text) > 32 or re.fullmatch(QUANTITY_PATTERN, text) is None):
        raise ArgumentTypeError(f"{text!r} is no quantity such as 500m, 8 or 16Gi, nor none")
    return text


def rate_limit(text: str) -> tuple[str, dict[str, int]]:
    """`reads=100/10s`: 100 requests that read in 10 seconds."""
    found = re.fullmatch(r"(\w+)=(\d{1,8})/(\d{1,8})s?", text, re.ASCII)
    if found is None or found[1] not in RateLimits.model_fields:
        raise ArgumentTypeError(f"{text!r} is not like reads=100/10s; there are {', '.join(RateLimits.model_fields)}")
    try:
        limit = RateLimit(requests=int(found[2]), seconds=int(found[3]))
    except ValidationError as error:
        raise ArgumentTypeError("from 1 to 1000000 requests in 1 to 86400 seconds") from error
    return found[1], limit.model_dump()
