"""What becomes of a transcript, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from codesessions_crds.codesession import TranscriptReference
from codesessions_operator.decision import Action, Attempt, Observed
from codesessions_operator.desired.archivepod import archive_pod, is_archive_pod
from codesessions_operator.plan import decide
from codesessions_operator.trim import trim_pod
from support import podsecurity
from support.operator import NOW, SETTINGS, at, ended, observed, pod, running, session, status

Object = dict[str, Any]
EXITED = '{"shell":"exited","code":7}'
TRANSCRIPT = TranscriptReference(
    repository="p/demo/cs-abc123", digest="sha256:" + "a" * 64, size=10, last_seq=3, archived_at=at(5)
)
CLAIM: Object = {"metadata": {"name": "ws-abc123"}, "status": {"phase": "Bound"}}
LEAVING = {"deletionTimestamp": at(75)}


def finished(**more: Any) -> Any:
    words = {"startedAt": at(-60), "finishedAt": at(0), **more}
    return status("Completed", ready=("False", "Completed", "It was completed."), **words)


def said(condition: str, message: str = "") -> Any:
    """A session that has ended, with an Archived condition."""
    found = finished()
    conditions = [
        *found.conditions,
        found.conditions[0].model_copy(update={"type": "Archived", "reason": condition, "message": message}),
    ]
    return found.model_copy(update={"conditions": conditions})


def see(*, registry: bool = True, attempt: Attempt | None = None, **more: Any) -> Observed:
    found = observed(**{"status": finished(), "claim": CLAIM, "now": 10, **more})
    return replace(found, registry=registry, attempt=attempt or Attempt())


def archive(state: Object | None = None, **metadata: Any) -> Object:
    """The pod of the slow way, as the cache has it."""
    found = archive_pod(session(), SETTINGS)
    found["metadata"] |= {"uid": "uid-archive", "resourceVersion": "1", "creationTimestamp": at(5), **metadata}
    found["status"] = state or {}
    return trim_pod(found)


class TestTheEnd:
    def test_a_live_sidecar_is_asked_to_stay_before_its_pod_is_deleted(self) -> None:
        plan = decide(see(status=status("Running", startedAt=at(-60)), pod=pod(running()), spec={"state": "Completed"}))
        assert plan.actions == (Action.HOLD, Action.DELETE_POD)
        assert plan.again == timedelta(0)
        assert plan.archived is not None
        assert (plan.archived.status, plan.archived.reason) == (False, "Archiving")

    def test_a_shell_that_ended_keeps_its_pod(self) -> None:
        plan = decide(see(status=status("Running", startedAt=at(-60)), pod=pod(ended(7, message=EXITED))))
        assert (plan.actions, plan.again, plan.exit_code) == ((), timedelta(0), 7)

    def test_without_a_registry_the_pod_goes_at_once_and_that_is_said(self) -> None:
        before = status("Running", startedAt=at(-60))
        plan = decide(see(registry=False, status=before, pod=pod(running()), spec={"state": "Completed"}))
        assert plan.actions == (Action.DELETE_POD,)
        assert plan.archived is not None
        assert plan.archived.reason == "NoRegistry"
        assert "CODESESSIONS_REGISTRY_URL" in plan.archived.message

    def test_a_session_that_never_ran_has_nothing_to_keep(self) -> None:
        plan = decide(see(status=status("Creating"), pod=pod(), spec={"state": "Completed"}))
        assert plan.actions == (Action.DELETE_POD,)
        assert plan.archived is not None
        assert (plan.archived.status, plan.archived.reason) == (True, "NothingToArchive")


@pytest.mark.parametrize(
    ("found", "actions"),
    [
        (pod(ended(7, message=EXITED) | {"podIP": "10.0.0.7"}), (Action.FETCH,)),  # the sidecar lingers
        (pod(running(), **LEAVING), (Action.FETCH,)),
        (pod(running()), (Action.HOLD, Action.DELETE_POD)),  # an operator was killed before it could
        (pod(ended(7, message=EXITED, phase="Succeeded")), (Action.DELETE_POD,)),
        (pod(ended(7, message=EXITED, phase="Failed"), **LEAVING), ()),
        (pod({"phase": "Pending"}, **LEAVING), ()),
        (None, (Action.MAKE_ARCHIVE_POD,)),
        (archive({"phase": "Pending"}), ()),
        (archive(running(ready=False)), ()),
        (archive(running()), (Action.FETCH,)),
        (archive(running(), **LEAVING), ()),
        (archive({"phase": "Failed"}), (Action.DELETE_POD,)),
    ],
)
def test_what_is_done_next(found: Object | None, actions: tuple[Action, ...]) -> None:
    assert decide(see(pod=found)).actions == actions


@pytest.mark.parametrize(
    "claim", [None, {**CLAIM, "status": {"phase": "Lost"}}, {**CLAIM, "metadata": {"deletionTimestamp": at(0)}}]
)
def test_without_pod_and_volume_the_registry_is_asked_before_it_counts_as_lost(claim: Object | None) -> None:
    assert decide(see(claim=claim)).actions == (Action.FETCH,)
    plan = decide(see(claim=claim, attempt=Attempt(lost=True, message="It is lost.")))
    assert plan.archived is not None
    assert (plan.archived.status, plan.archived.reason, plan.actions) == (False, "TranscriptLost", ())
    again = decide(see(claim=claim, status=said("TranscriptLost", "It is lost.")))
    assert (again.archived, again.actions) == (plan.archived, ())


def test_while_it_is_on_its_way_nothing_is_touched() -> None:
    for found in (None, pod(running(), **LEAVING), pod(ended(7, message=EXITED)), archive(running())):
        assert decide(see(pod=found, attempt=Attempt(running=True))).actions == ()


def test_it_is_written_down_before_the_pod_is_let_go() -> None:
    waiting = pod(ended(7, message=EXITED) | {"podIP": "10.0.0.7"})
    plan = decide(see(pod=waiting, attempt=Attempt(found=TRANSCRIPT)))
    assert (plan.actions, plan.transcript, plan.again) == ((), TRANSCRIPT, timedelta(0))
    assert plan.archived is not None
    assert plan.archived.status
    done = finished(transcript=TRANSCRIPT)
    assert decide(see(pod=waiting, status=done)).actions == (Action.DELETE_POD,)
    assert decide(see(pod=pod(running(), **LEAVING), status=done)).actions == (Action.RELEASE,)
    assert decide(see(pod=archive(running()), status=done)).actions == (Action.DELETE_POD,)
    assert decide(see(pod=archive(running(), **LEAVING), status=done)).actions == ()
    assert decide(see(status=done)).actions == ()


class TestAFailedAttempt:
    attempt = Attempt(reason="RegistryUnavailable", message="It does not answer.", retry_at=NOW + timedelta(seconds=18))

    def test_is_said_and_waited_after(self) -> None:
        plan = decide(see(attempt=self.attempt))
        assert plan.archived is not None
        assert (plan.archived.reason, plan.archived.message) == ("RegistryUnavailable", "It does not answer.")
        assert (plan.actions, plan.again) == ((), timedelta(seconds=8))

    def test_gives_up_the_place_of_a_pod_of_the_slow_way(self) -> None:
        assert decide(see(attempt=self.attempt, pod=archive(running()))).actions == (Action.DELETE_POD,)

    def test_keeps_the_sessions_own_pod(self) -> None:
        assert decide(see(attempt=self.attempt, pod=pod(ended(7, message=EXITED) | {"podIP": "x"}))).actions == ()

    def test_is_repeated_when_it_is_time(self) -> None:
        assert decide(see(attempt=self.attempt, now=18)).actions == (Action.MAKE_ARCHIVE_POD,)

    def test_is_the_last_one_when_the_time_for_all_of_it_is_over(self) -> None:
        plan = decide(see(attempt=self.attempt, now=86_400))
        assert plan.archived is not None
        assert plan.archived.reason == "TranscriptLost"
        for words in ("86400 s", "CODESESSIONS_ARCHIVE_SECONDS", "still on claim ws-abc123", "It does not answer."):
            assert words in plan.archived.message


def test_a_pod_of_the_slow_way_that_does_not_start_says_why_and_is_replaced() -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available."}]
    stuck = archive({"phase": "Pending", "conditions": conditions})
    plan = decide(see(pod=stuck))
    assert plan.archived is not None
    assert plan.archived.reason == "ArchivePodPending"
    assert "0/1 nodes are available" in plan.archived.message
    assert decide(see(pod=stuck, now=600)).actions == (Action.DELETE_POD,)


def test_a_registry_that_is_set_up_later_takes_what_is_not_too_old() -> None:
    assert decide(see(status=said("NoRegistry"))).actions == (Action.MAKE_ARCHIVE_POD,)
    assert decide(see(status=said("NoRegistry"), registry=False)).actions == ()


def test_a_session_that_is_deleted_takes_its_transcript_with_it() -> None:
    spec = {"ttlSecondsAfterFinished": 60}
    done = finished(transcript=TRANSCRIPT)
    assert decide(see(spec=spec, status=done, now=60)).actions == (Action.DELETE_TRANSCRIPT, Action.DELETE_SESSION)


class TestThePodOfTheSlowWay:
    made = archive_pod(session(), replace(SETTINGS, registry_url="https://r"))

    def test_is_told_apart_from_a_sessions_own(self) -> None:
        assert is_archive_pod(trim_pod(self.made))
        assert not is_archive_pod(trim_pod(pod()))

    def test_passes_pod_security_restricted(self) -> None:
        assert podsecurity.violations(self.made["spec"]) == []

    def test_has_the_transcript_and_nothing_of_the_workspace(self) -> None:
        (container,) = self.made["spec"]["containers"]
        data = [each for each in container["volumeMounts"] if each["name"] == "data"]
        assert [each["subPath"] for each in data] == ["terminal"]
        assert "initContainers" not in self.made["spec"]
        assert {"name": "CODESESSIONS_ARCHIVE", "value": "true"} in container["env"]
        assert container["image"] == "sidecar:1"

    def test_has_the_name_and_the_owner_of_the_sessions_own(self) -> None:
        for name in ("name", "labels", "ownerReferences"):
            assert self.made["metadata"][name] == pod()["metadata"][name]
