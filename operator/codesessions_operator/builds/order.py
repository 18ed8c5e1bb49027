"""Which Build is the newest, and what is no longer kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from codesessions_crds.build import BuildPhase, BuildSpec, BuildStatus

from codesessions_operator.clock import parse

Object = dict[str, Any]


@dataclass(frozen=True)
class BuildRecord:
    """A Build as it is known."""

    namespace: str
    name: str
    uid: str
    created: datetime
    generation: int
    spec: BuildSpec
    status: BuildStatus
    keyed: bool = False
    """Whether an Idempotency-Key named it: its record, without what it left in the registry, is kept for a day."""
    request: Mapping[str, str] = field(default_factory=dict)
    """Ids of the call that made it, for the log."""

    @property
    def order(self) -> tuple[datetime, bool, str, str]:
        """Newest last. Of the same second, what has ended is the oldest, and what has not begun the newest."""
        asked = parse(self.spec.requested_at) if self.spec.requested_at else None
        # An asked-for time is worth no more than a second, whoever wrote it: nobody deploys from the future.
        near = asked is not None and abs((asked - self.created).total_seconds()) < 2
        moment = asked if asked is not None and near else self.created
        return moment, not self.finished, self.status.started_at or "~", self.name

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.status.phase is not None and self.status.phase.finished

    @property
    def begun(self) -> datetime:
        """When its time began."""
        return parse(self.status.started_at) or self.created


def in_order(builds: Iterable[BuildRecord]) -> list[BuildRecord]:
    """Oldest first."""
    return sorted(builds, key=lambda each: each.order)


def superfluous(builds: Sequence[BuildRecord], kept: set[str], limit: int) -> list[BuildRecord]:
    """Finished Builds (oldest first) that nobody needs: not of a kept revision, and not among the newest `limit`."""
    newest = {each.name for each in list(builds)[-limit:]}
    return [each for each in builds if each.finished and each.name not in kept and each.name not in newest]


def reusable(builds: Sequence[BuildRecord], build: BuildRecord, source: str) -> BuildRecord | None:
    """An earlier Build that made an image of the very same source in the very same way."""
    for each in reversed(builds):
        same = each.status.source_digest == source and each.spec.engine is build.spec.engine
        done = each.status.phase is BuildPhase.SUCCEEDED and each.status.image and not each.status.pruned
        if each.name != build.name and same and done:
            return each
    return None
