from __future__ import annotations

from typing import Any

import pytest
from codesessions_crds.app import AppPhase, AppSpec
from codesessions_operator.apps import plan
from codesessions_operator.apps.facts import Rollout, RolloutFacts
from support.deploys import IMAGE, app_status, at, build, revision

OTHER = IMAGE.replace("a" * 64, "b" * 64)


def spec(**more: Any) -> AppSpec:
    return AppSpec.model_validate({"sessionName": "cs-abc", **more})


def test_an_image_becomes_the_next_revision() -> None:
    status, first = plan.with_revision(app_status(), IMAGE, "bld-a", "sha256:x", at(0))
    status, second = plan.with_revision(status, OTHER, "bld-b", None, at(1))
    assert (first.number, second.number, status.last_revision) == (1, 2, 2)
    assert [each.image for each in status.revisions or ()] == [IMAGE, OTHER]


def test_the_same_build_is_the_same_revision_however_often_it_is_seen() -> None:
    status, first = plan.with_revision(app_status(), IMAGE, "bld-a", None, at(0))
    status, _ = plan.with_revision(status, OTHER, "bld-b", None, at(1))
    again, found = plan.with_revision(status, IMAGE, "bld-a", None, at(9))
    assert (again, found) == (status, first)


def test_the_image_that_runs_already_is_no_new_revision_unless_it_failed() -> None:
    status = app_status(revisions=[revision(1)], lastRevision=1)
    assert plan.with_revision(status, IMAGE, "bld-b", None, at(1))[1].number == 1
    failed = plan.failed(status, 1, "crash")
    assert plan.with_revision(failed, IMAGE, "bld-b", None, at(1))[1].number == 2


def test_a_number_is_never_used_twice() -> None:
    assert plan.with_revision(app_status(lastRevision=7), IMAGE, None, None, at(0))[1].number == 8


@pytest.mark.parametrize(
    ("pinned", "revisions", "expected"),
    [
        (None, [], None),
        (None, [revision(1), revision(2)], 2),
        (None, [revision(1), revision(2, failed=True)], 1),
        (None, [revision(1, failed=True)], None),
        (1, [revision(1), revision(2)], 1),
        (2, [revision(1), revision(2, failed=True)], 2),
        (9, [revision(1)], None),
    ],
)
def test_which_revision_runs(pinned: int | None, revisions: list[Any], expected: int | None) -> None:
    found = plan.target_of(spec(revision=pinned), app_status(revisions=revisions))
    assert (found.number if found else None) == expected


def test_old_revisions_go_but_not_what_runs_or_is_asked_for() -> None:
    status = app_status(revisions=[revision(number) for number in range(1, 11)], revision=2)
    wanted = spec(revisionHistoryLimit=3, revision=4)
    found = plan.trimmed(wanted, status, plan.target_of(wanted, status))
    assert [each.number for each in found.revisions or ()] == [2, 4, 8, 9, 10]


def facts(rollout: Rollout, reason: str = "Because") -> RolloutFacts:
    return RolloutFacts(rollout, reason, "said so", 1)


def judged(
    status: dict[str, Any], *builds: Any, rollout: RolloutFacts | None = None, health: Any = None, **wanted: Any
) -> tuple[AppPhase, bool, str]:
    found = app_status(**status)
    target = plan.target_of(spec(**wanted), found)
    verdict = plan.judge(spec(**wanted), found, builds, target, rollout, health)
    return verdict.phase, verdict.ready, verdict.reason


ONE, TWO = {"revisions": [revision(1)], "revision": 1}, {"revisions": [revision(1), revision(2)], "revision": 1}
DONE = build(phase="Succeeded")
LOST = build("bld-two", phase="Failed", conditions=[])


def test_how_an_app_is() -> None:
    available, moving, broken = facts(Rollout.AVAILABLE), facts(Rollout.PROGRESSING), facts(Rollout.BROKEN, "Crash")
    assert judged({}) == (AppPhase.DEPLOYING, False, "NothingDeployed")
    assert judged({}, build(phase="Zipping")) == (AppPhase.DEPLOYING, False, "Zipping")
    assert judged({}, LOST) == (AppPhase.FAILED, False, "BuildFailed")
    assert judged(ONE, DONE, rollout=available) == (AppPhase.RUNNING, True, "Running")
    assert judged(ONE, DONE, build("bld-b", phase="Building"), rollout=available)[0] is AppPhase.DEPLOYING
    assert judged(TWO, DONE, rollout=moving)[0] is AppPhase.DEPLOYING
    assert judged(ONE, DONE, rollout=moving) == (AppPhase.RUNNING, False, "NotAvailable")
    assert judged(ONE, DONE, rollout=moving, health=("CrashLooping", "x")) == (AppPhase.FAILED, False, "CrashLooping")
    assert judged(ONE, DONE, rollout=broken) == (AppPhase.FAILED, False, "Crash")


def test_a_failed_deploy_is_said_while_the_old_revision_serves() -> None:
    status = {"revisions": [revision(1), revision(2, failed=True, message="boom")], "revision": 1}
    verdict = plan.judge(
        spec(), app_status(**status), [], app_status(**status).revisions[0], facts(Rollout.AVAILABLE), None
    )  # type: ignore[index]
    assert (verdict.phase, verdict.reason) == (AppPhase.FAILED, "RolloutFailed")
    assert "boom" in verdict.message
    assert "Revision 1 goes on serving." in verdict.message
    assert judged(ONE, DONE, LOST, rollout=facts(Rollout.AVAILABLE)) == (AppPhase.FAILED, False, "BuildFailed")


def test_a_rollback_leaves_a_failed_deploy_behind() -> None:
    status = {"revisions": [revision(1), revision(2, failed=True)], "revision": 1}
    assert judged(status, LOST, rollout=facts(Rollout.AVAILABLE), revision=1) == (AppPhase.RUNNING, True, "Running")


def test_a_revision_that_is_not_there_is_said() -> None:
    assert judged(ONE, DONE, revision=9) == (AppPhase.FAILED, False, "RevisionNotFound")
