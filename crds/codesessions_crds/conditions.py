"""Conditions as pure values (Kubernetes API conventions: lastTransitionTime moves only when status does)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from codesessions_crds.meta import Condition

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def readable(text: str) -> str:
    """A message without control characters but line feeds: a workspace or a build may have put in what moves the
    terminal of whoever reads it.
    """
    return _CONTROL.sub("\ufffd", text.replace("\t", " ").replace("\r\n", "\n"))


def find_condition(conditions: Sequence[Condition] | None, type: str) -> Condition | None:
    """The condition of a type, None without it."""
    return next((condition for condition in conditions or () if condition.type == type), None)


def with_condition(
    conditions: Sequence[Condition],
    *,
    type: str,
    status: bool | None,
    reason: str,
    message: str,
    generation: int,
    now: str,
) -> list[Condition]:
    """`conditions` with the one of `type` set; `status` None means Unknown; `now` is RFC 3339."""
    text = {True: "True", False: "False", None: "Unknown"}[status]
    old = find_condition(conditions, type)
    moved = now if old is None or old.status != text else old.last_transition_time
    fresh = Condition(
        type=type,
        status=text,
        reason=reason,
        message=readable(message),
        observed_generation=generation,
        last_transition_time=moved,
    )
    return [condition for condition in conditions if condition.type != type] + [fresh]
