from __future__ import annotations

from codesessions_crds.build import BuildPhase, BuildStatus
from codesessions_operator.builds.janitor import needed
from codesessions_operator.builds.order import in_order, reusable, superfluous
from codesessions_operator.builds.status import moved
from support.deploys import DIGEST, IMAGE, at, build, revision


def names(found: object) -> list[str]:
    return [each.name for each in found]  # type: ignore[attr-defined]


def test_the_newest_is_the_one_that_was_asked_for_last() -> None:
    early = build("bld-z", spec={"requestedAt": "2027-01-01T12:00:00.100000Z"})
    late = build("bld-a", spec={"requestedAt": "2027-01-01T12:00:00.200000Z"})
    assert names(in_order([late, early])) == ["bld-z", "bld-a"]


def test_of_one_second_the_one_that_has_not_begun_is_the_newer() -> None:
    begun = build("bld-z", phase="Succeeded", startedAt=at(0))
    assert names(in_order([begun, build("bld-a")])) == ["bld-z", "bld-a"]


def test_of_one_second_the_one_that_has_not_ended_is_the_newer() -> None:
    ended = build("bld-z", phase="Succeeded", startedAt=at(0))
    assert names(in_order([build("bld-a", phase="Zipping", startedAt=at(0)), ended])) == ["bld-z", "bld-a"]


def test_nobody_deploys_from_the_future() -> None:
    liar = build("bld-a", spec={"requestedAt": "2099-01-01T00:00:00Z"})
    assert names(in_order([liar, build("bld-b", created=5)])) == ["bld-a", "bld-b"]


def test_what_nobody_needs_is_old_finished_and_of_no_kept_revision() -> None:
    builds = [build(f"bld-{number}", created=number, phase="Succeeded") for number in range(6)]
    builds[1] = build("bld-1", created=1, phase="Building")
    assert names(superfluous(builds, {"bld-0"}, 2)) == ["bld-2", "bld-3"]


def test_the_same_source_built_the_same_way_is_not_built_again() -> None:
    known = build("bld-a", phase="Succeeded", sourceDigest=DIGEST, image=IMAGE)
    this = build("bld-b", created=1)
    assert reusable([known, this], this, DIGEST) is known
    assert reusable([known, this], this, DIGEST.replace("a", "b")) is None
    assert reusable([known], build("bld-b", spec={"engine": "layers"}), DIGEST) is None
    for useless in ({"phase": "Failed", "image": IMAGE}, {"phase": "Succeeded", "image": IMAGE, "pruned": True}):
        assert reusable([build("bld-a", sourceDigest=DIGEST, **useless)], this, DIGEST) is None


def test_each_phase_has_its_times() -> None:
    status = BuildStatus()
    for second, phase in enumerate((BuildPhase.ZIPPING, BuildPhase.BUILDING, BuildPhase.BUILDING, BuildPhase.FAILED)):
        status = moved(status, phase, "Because", "x", generation=1, now=at(second))
    found = [(each.phase, each.started_at, each.finished_at) for each in status.phases or ()]
    assert found == [(BuildPhase.ZIPPING, at(0), at(1)), (BuildPhase.BUILDING, at(1), at(3))]
    assert (status.started_at, status.finished_at) == (at(0), at(3))
    assert [(each.type, each.status) for each in status.conditions or ()] == [("Ready", "False")]


def test_a_status_that_says_the_same_is_the_same() -> None:
    first = moved(BuildStatus(), BuildPhase.BUILDING, "Building", "x", generation=1, now=at(0))
    assert moved(first, BuildPhase.BUILDING, "Building", "x", generation=1, now=at(9)) == first


def test_the_registry_keeps_what_apps_and_builds_refer_to() -> None:
    log, source, pruned = (f"sha256:{letter * 64}" for letter in "bcd")
    app = {"spec": {"source": source}, "status": {"revisions": [revision(1)]}}
    builds = [{"status": {"logDigest": log}}, {"status": {"sourceDigest": pruned, "pruned": True}}]
    assert {log, source, DIGEST} <= needed([app], builds)
    assert pruned not in needed([app], builds)
