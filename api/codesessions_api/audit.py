"""One line for every call that changes something: who, what, with what result. Never a key, never what was typed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from codesessions_api.auth import Caller
from codesessions_api.problems import Problem
from codesessions_api.trace import current

_log = logging.getLogger("audit")


@dataclass
class Entry:
    """What becomes a line. `caller` stays None for a key that is not good."""

    verb: str
    session: str
    request_id: str
    caller: Caller | None = None
    result: str = "ok"
    bytes: int | None = None
    replayed: bool = False
    """Whether an Idempotency-Key made it the answer to an earlier call."""

    def write(self) -> None:
        """Write the line."""
        caller = self.caller
        fields: dict[str, object] = {
            "verb": self.verb,
            "session": self.session[:64],
            "result": self.result,
            "key": caller.key_name if caller else None,
            "userId": caller.user_id if caller else None,
            "organizationId": caller.organization_id if caller else None,
            **current.get().fields,
            "requestId": self.request_id,
        }
        if self.replayed:
            fields["replayed"] = True
        if self.bytes is not None:
            fields["bytes"] = self.bytes
        _log.info(self.verb, extra={"fields": fields})


@contextmanager
def audited(verb: str, session: str, request_id: str) -> Iterator[Entry]:
    """An entry that is written at the end, with the problem's code if there was one."""
    entry = Entry(verb, session, request_id)
    try:
        yield entry
    except Problem as problem:
        entry.result = problem.code
        raise
    except BaseException as error:
        entry.result = type(error).__name__
        raise
    finally:
        entry.write()
