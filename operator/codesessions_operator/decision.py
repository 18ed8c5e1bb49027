"""What is known of a session, what to do, and what to say: the values that a decision goes by and ends in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from codesessions_crds.codesession import CodeSessionStatus, Phase, TranscriptReference
from codesessions_crds.conditions import find_condition
from codesessions_crds.meta import Condition

from codesessions_operator.desired.common import Session

Object = dict[str, Any]


class Action(Enum):
    """Something to do."""

    CREATE = auto()
    """Make secret, claim and pod."""
    HOLD = auto()
    """Ask the sidecar to stay for the transcript when its shell ends."""
    DELETE_POD = auto()
    FETCH = auto()
    """Bring the transcript to the registry."""
    MAKE_ARCHIVE_POD = auto()
    RELEASE = auto()
    """Let the sidecar go."""
    DELETE_TRANSCRIPT = auto()
    DELETE_SESSION = auto()


@dataclass(frozen=True)
class Attempt:
    """How far bringing a transcript to the registry has come, by this process."""

    running: bool = False
    found: TranscriptReference | None = None
    """It is there."""
    lost: bool = False
    """It is not there, and there is nothing that it could be made of."""
    reason: str = ""
    message: str = ""
    """Why it did not succeed the last time."""
    retry_at: datetime | None = None


NO_ATTEMPT = Attempt()


@dataclass(frozen=True)
class Archived:
    """The Archived condition."""

    status: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Observed:
    """What is known of a session at a moment."""

    session: Session
    created: datetime
    status: CodeSessionStatus
    pod: Object | None
    claim: Object | None
    now: datetime
    registry: bool = False
    """Whether there is a registry for transcripts."""
    archive_time: timedelta = timedelta(days=1)
    """How long after its end a transcript is tried to be stored."""
    keyed: bool = False
    """Whether an Idempotency-Key stands for it, which is good for a day: till then the record is kept."""
    request: Mapping[str, str] = field(default_factory=dict)
    """Ids of the call that made it, for the log."""
    attempt: Attempt = NO_ATTEMPT

    @property
    def ready(self) -> Condition | None:
        """The Ready condition as it was written last."""
        return find_condition(self.status.conditions, "Ready")

    @property
    def archived(self) -> Condition | None:
        """The Archived condition as it was written last."""
        return find_condition(self.status.conditions, "Archived")


@dataclass(frozen=True)
class Plan:
    """What to do, what to say, and when to look again."""

    phase: Phase
    ready: bool
    reason: str
    message: str
    actions: tuple[Action, ...] = ()
    exit_code: int | None = None
    again: timedelta | None = None
    warning: bool = False
    """Worth a Warning event even if the phase stays."""
    archived: Archived | None = None
    transcript: TranscriptReference | None = None
    passing: bool = False
    """Over so soon, as a rule, that it is not worth a write."""
