"""Whole passes over a session, against an API server in memory."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from codesessions_crds.credentials import workspace_key
from codesessions_kube.errors import ForbiddenError, InvalidError, KubeError, UnavailableError
from codesessions_kube.kinds import CLAIM, CODE_SESSION, ENDPOINT_SLICE, EVENT, NETWORK_POLICY, POD, SECRET
from codesessions_kube.store import Key, ObjectStore
from codesessions_operator import networkpolicies
from codesessions_operator.apply import Applier
from codesessions_operator.archiver import Archiver
from codesessions_operator.decision import NO_ATTEMPT, Attempt
from codesessions_operator.desired.common import Session
from codesessions_operator.networkpolicies import NetworkPolicies
from codesessions_operator.reconcile import LONGEST_RETRY, Reconciler
from codesessions_operator.trim import trim_claim, trim_pod, trim_session
from support.kube import MemoryKube
from support.operator import NOW, SETTINGS, at, ended, running

Object = dict[str, Any]
KEY: Key = ("demo", "cs-abc123")
MASTER_KEY = bytes(range(32))
EXITED = '{"shell":"exited","code":7}'


class Bench:
    """A reconciler whose caches are filled by hand from the API server's objects."""

    def __init__(self) -> None:
        self.kube = MemoryKube()
        self.sessions = ObjectStore(transform=trim_session)
        self.pods = ObjectStore(transform=trim_pod)
        self.claims = ObjectStore(transform=trim_claim)
        self.now = NOW
        self.reconciler = self.another()

    def another(self, archiver: Any = None) -> Reconciler:
        """An operator that has just started, with the same caches."""
        return Reconciler(
            self.kube,
            SETTINGS,
            Applier(self.kube, SETTINGS, MASTER_KEY),
            NetworkPolicies(self.kube, SETTINGS),
            sessions=self.sessions,
            pods=self.pods,
            claims=self.claims,
            archiver=cast("Archiver | None", archiver),
            clock=self.clock,
        )

    def clock(self) -> datetime:
        return self.now

    async def make(self, **spec: Any) -> None:
        body = {
            "metadata": {"name": "cs-abc123", "namespace": "demo", "uid": "uid-cs", "creationTimestamp": at(0)},
            "spec": {"projectName": "p", **spec},
        }
        await self.kube.create(CODE_SESSION, "demo", body, manager="test")
        self.kube.writes.clear()
        self.see()

    def see(self) -> None:
        """What watches would bring: the caches become what the API server has."""
        for kind, store in (("CodeSession", self.sessions), ("Pod", self.pods), ("PersistentVolumeClaim", self.claims)):
            there = {(n, name): each for (k, n, name), each in self.kube.objects.items() if k == kind}
            for item in store.items():
                key = (item["metadata"]["namespace"], item["metadata"]["name"])
                if key not in there:
                    store.remove(key, int(self.kube.next_version()))
            for each in there.values():
                store.put(copy.deepcopy(each))

    def pod_says(self, status: Object, **metadata: Any) -> None:
        pod = self.kube.objects["Pod", "demo", "ws-abc123"]
        pod["status"] = status
        pod["metadata"] |= {"resourceVersion": self.kube.next_version(), **metadata}
        self.see()

    async def turn(self) -> timedelta | None:
        return await self.reconciler.reconcile(KEY)

    @property
    def resource(self) -> Object:
        return self.kube.objects["CodeSession", "demo", "cs-abc123"]

    @property
    def status(self) -> Object:
        found: Object = self.resource.get("status") or {}
        return found

    @property
    def ready(self) -> Object:
        found: Object = self.status["conditions"][0]
        return found

    def reasons(self) -> list[str]:
        """Of the events."""
        return [each["reason"] for (kind, _, _), each in self.kube.objects.items() if kind == "Event"]

    def written(self) -> list[tuple[str, str]]:
        return [(verb, kind) for verb, kind, _ in self.kube.writes]


CREATION = [
    ("apply", "NetworkPolicy"),
    ("apply", "NetworkPolicy"),  # all other pods of the namespace
    ("create", "Secret"),
    ("create", "PersistentVolumeClaim"),
    ("create", "Pod"),
]


async def test_a_whole_life_takes_few_writes() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    assert bench.written() == CREATION
    bench.pod_says({"phase": "Pending"})
    await bench.turn()
    bench.pod_says(running(ready=False))
    await bench.turn()
    assert bench.written() == CREATION
    bench.pod_says(running())
    await bench.turn()
    assert (bench.status["phase"], bench.ready["status"]) == ("Running", "True")
    bench.pod_says(ended(7, message=EXITED))
    await bench.turn()
    assert (bench.status["phase"], bench.status["exitCode"]) == ("Completed", 7)
    bench.pod_says(ended(7, message=EXITED, phase="Failed"))
    await bench.turn()
    bench.see()
    await bench.turn()
    of_the_session = bench.written()[1:]
    assert of_the_session.count(("delete", "Pod")) == 1
    assert of_the_session.count(("apply_status", "CodeSession")) == 2
    assert len(of_the_session) <= 9
    assert bench.reasons() == ["Running", "ShellExited"]
    assert ("PersistentVolumeClaim", "demo", "ws-abc123") in bench.kube.objects


async def test_a_start_that_takes_longer_is_written_down() -> None:
    bench = Bench()
    await bench.make()
    again = await bench.turn()
    assert again is not None
    assert timedelta(0) < again <= timedelta(seconds=2)
    assert bench.status == {}
    bench.pod_says({"phase": "Pending"}, creationTimestamp=at(0))
    bench.now += again
    assert await bench.turn() == timedelta(seconds=120) - again
    assert (bench.status["phase"], bench.ready["reason"]) == ("Creating", "PodStarting")
    assert bench.status["workspaceId"] == "ws_abc123"
    bench.now += again
    await bench.turn()
    assert bench.written().count(("apply_status", "CodeSession")) == 1


async def test_the_secret_holds_the_derived_key() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    held = bench.kube.objects["Secret", "demo", "ws-abc123"]["stringData"]["workspace-key"]
    assert bytes.fromhex(held) == workspace_key(MASTER_KEY, "demo", "uid-cs")


async def test_a_pass_without_news_writes_nothing() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.pod_says(running())
    await bench.turn()
    bench.see()
    before = list(bench.kube.writes)
    for _ in range(5):
        await bench.turn()
    assert bench.kube.writes == before


async def test_ephemeral_storage_makes_no_claim() -> None:
    bench = Bench()
    await bench.make(workspace={"storage": {"ephemeral": True}})
    await bench.turn()
    assert ("create", "PersistentVolumeClaim") not in bench.written()


@pytest.mark.parametrize("stop", range(1, len(CREATION) + 1))
async def test_an_operator_killed_at_any_write_is_taken_over(stop: int) -> None:
    """The next one starts with what the API server has, and ends with one of everything and no restart."""
    bench = Bench()
    await bench.make()
    verb, kind = CREATION[stop - 1]
    kinds = {each.kind: each for each in (NETWORK_POLICY, SECRET, CLAIM, POD, CODE_SESSION)}
    bench.kube.will_refuse(verb, kinds[kind], UnavailableError("killed here"))
    with pytest.raises(UnavailableError):
        await bench.turn()
    bench.see()
    bench.reconciler = bench.another()
    await bench.turn()
    bench.pod_says(running())
    await bench.turn()
    assert (bench.status["phase"], bench.status["restarts"]) == ("Running", 0)
    assert bench.written().count(("create", "Pod")) == 1


async def test_an_operator_killed_before_it_says_that_a_session_runs_is_taken_over() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.pod_says(running())
    bench.kube.will_refuse("apply_status", CODE_SESSION, UnavailableError("killed here"))
    with pytest.raises(UnavailableError):
        await bench.turn()
    bench.reconciler = bench.another()
    await bench.turn()
    assert (bench.status["phase"], bench.status["restarts"]) == ("Running", 0)


async def test_a_pod_the_cache_has_not_seen_is_not_made_twice() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    uid = bench.kube.objects["Pod", "demo", "ws-abc123"]["metadata"]["uid"]
    for store in (bench.pods, bench.claims):  # a cache that lags: it never heard of them
        store.__init__()  # type: ignore[misc]
    await bench.turn()
    assert bench.kube.objects["Pod", "demo", "ws-abc123"]["metadata"]["uid"] == uid
    bench.pod_says(running())
    await bench.turn()
    assert bench.status["restarts"] == 0
    assert bench.written().count(("create", "Pod")) == 1


async def test_two_operators_at_once_make_one_pod() -> None:
    bench = Bench()
    await bench.make()
    other = Bench()
    other.kube = bench.kube
    other.reconciler = other.another()
    other.see()
    await bench.turn()
    await other.turn()
    assert bench.written().count(("create", "Pod")) == 1
    bench.pod_says(running())
    other.see()
    await bench.turn()
    await other.turn()
    assert bench.status["restarts"] == 0


async def test_nothing_is_made_for_a_session_that_is_gone() -> None:
    """The cache missed the deletion."""
    bench = Bench()
    await bench.make()
    del bench.kube.objects["CodeSession", "demo", "cs-abc123"]
    await bench.turn()
    assert bench.kube.writes == []
    assert bench.sessions.get(*KEY) is None
    assert await bench.turn() is None


async def test_nothing_is_made_for_a_session_that_was_ended_meanwhile() -> None:
    """The cache lags behind."""
    bench = Bench()
    await bench.make()
    bench.resource["spec"]["state"] = "Completed"
    bench.resource["metadata"]["resourceVersion"] = bench.kube.next_version()
    assert await bench.turn() == timedelta(0)
    assert bench.kube.writes == []
    await bench.turn()
    assert bench.status["phase"] == "Completed"
    assert ("create", "Pod") not in bench.written()


async def test_a_session_being_deleted_is_left_to_the_garbage_collector() -> None:
    bench = Bench()
    await bench.make()
    bench.resource["metadata"] |= {"deletionTimestamp": at(0), "resourceVersion": bench.kube.next_version()}
    bench.see()
    assert await bench.turn() is None
    assert bench.kube.writes == []


async def test_a_session_deleted_while_its_children_are_made_is_forgotten() -> None:
    bench = Bench()
    await bench.make()
    bench.kube.will_refuse("create", POD, KubeError("x"))
    with pytest.raises(KubeError):
        await bench.turn()
    del bench.kube.objects["CodeSession", "demo", "cs-abc123"]
    await bench.turn()
    assert bench.sessions.get(*KEY) is None


async def test_a_deleted_pod_is_replaced_and_counted() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.pod_says(running())
    await bench.turn()
    bench.pod_says(running(), deletionTimestamp=at(10))
    await bench.turn()
    assert (bench.status["phase"], bench.ready["reason"]) == ("Creating", "PodTerminating")
    del bench.kube.objects["Pod", "demo", "ws-abc123"]
    bench.see()
    await bench.turn()
    assert bench.status["restarts"] == 1
    assert bench.written().count(("create", "Pod")) == 2
    assert bench.written().count(("create", "Secret")) == 1


async def test_out_of_memory_is_told_and_replaced() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.pod_says(running())
    await bench.turn()
    bench.pod_says(ended(137, reason="OOMKilled", phase="Failed"))
    await bench.turn()
    assert (bench.status["phase"], bench.ready["reason"]) == ("Creating", "OutOfMemory")
    assert bench.reasons() == ["Running", "OutOfMemory"]
    bench.see()
    await bench.turn()
    bench.pod_says(running())
    await bench.turn()
    assert (bench.status["phase"], bench.status["restarts"]) == ("Running", 1)
    assert bench.reasons() == ["Running", "OutOfMemory", "Running"]


async def test_a_pod_that_never_stays_fails_in_the_end() -> None:
    bench = Bench()
    await bench.make()
    for _ in range(20):
        await bench.turn()
        if bench.status.get("phase") == "Failed":
            break
        if ("Pod", "demo", "ws-abc123") in bench.kube.objects:
            bench.pod_says(ended(137, reason="OOMKilled", phase="Failed"))
        bench.see()
    assert (bench.status["phase"], bench.ready["reason"]) == ("Failed", "TooManyRestarts")
    assert "out of memory" in bench.ready["message"]
    assert bench.status["restarts"] == 5


QUOTA = ForbiddenError('pods "ws-abc123" is forbidden: exceeded quota: small, used: pods=1, limited: pods=1')
SECURITY = ForbiddenError('pods "ws-abc123" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes')
ENDING = ForbiddenError('namespace "demo" is forbidden: ... because it is being terminated')


@pytest.mark.parametrize(
    ("error", "phase", "reason", "words"),
    [
        (QUOTA, "Creating", "QuotaExceeded", "limited: pods=1"),
        (SECURITY, "Creating", "AdmissionRefused", "violates PodSecurity"),
        (ENDING, "Creating", "NamespaceTerminating", "terminated"),
        (InvalidError("spec.nodeSelector: Invalid value"), "Failed", "WorkspaceInvalid", "spec.nodeSelector"),
    ],
)
async def test_what_the_api_server_refuses_is_said(error: KubeError, phase: str, reason: str, words: str) -> None:
    bench = Bench()
    await bench.make()
    bench.kube.will_refuse("create", POD, error)
    await bench.turn()
    assert (bench.status["phase"], bench.ready["reason"]) == (phase, reason)
    assert words in bench.ready["message"]


@pytest.mark.parametrize(("user", "phase"), [(65535, "Creating"), (65536, "Failed")])
async def test_a_user_that_no_user_namespace_has_is_refused(user: int, phase: str) -> None:
    bench = Bench()
    await bench.make(workspace={"hostUsers": False, "runAsUser": user})
    await bench.turn()
    made = ("Pod", "demo", "ws-abc123") in bench.kube.objects
    assert made is (phase == "Creating")
    if not made:
        assert (bench.status["phase"], bench.ready["reason"]) == (phase, "WorkspaceInvalid")
        assert "runAsUser below 65536" in bench.ready["message"]


async def test_a_refusal_is_tried_again_less_and_less_often_until_it_is_lifted() -> None:
    bench = Bench()
    await bench.make(startTimeoutSeconds=600)
    bench.kube.will_refuse("create", POD, *[QUOTA] * 8)
    delays = [await bench.turn() for _ in range(8)]
    seconds = [delay.total_seconds() for delay in delays if delay is not None]
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (2.0, LONGEST_RETRY.total_seconds())
    assert bench.written().count(("apply_status", "CodeSession")) == 1
    await bench.turn()
    assert bench.ready["reason"] == "PodStarting"


async def test_a_refusal_that_lasts_fails_the_session_when_its_time_is_over() -> None:
    bench = Bench()
    await bench.make()
    bench.kube.will_refuse("create", POD, QUOTA, QUOTA)
    await bench.turn()
    bench.now = NOW + timedelta(seconds=121)
    await bench.turn()
    assert (bench.status["phase"], bench.ready["reason"]) == ("Failed", "QuotaExceeded")
    assert "startTimeoutSeconds" in bench.ready["message"]


@pytest.mark.parametrize("kind", [SECRET, CLAIM, POD])
async def test_somebody_elses_object_with_a_childs_name_is_left_alone(kind: Any) -> None:
    bench = Bench()
    foreign = {"metadata": {"name": "ws-abc123", "namespace": "demo", "uid": "foreign"}, "data": {}}
    await bench.kube.create(kind, "demo", foreign, manager="somebody")
    await bench.make()
    await bench.turn()
    assert (bench.status["phase"], bench.ready["reason"]) == ("Creating", "NameTaken")
    assert kind.kind in bench.ready["message"]
    assert bench.kube.objects[kind.kind, "demo", "ws-abc123"]["metadata"]["uid"] == "foreign"


async def test_a_child_of_an_earlier_session_of_the_name_is_waited_for() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.kube.objects["Pod", "demo", "ws-abc123"]["metadata"]["ownerReferences"][0]["uid"] = "uid-earlier"
    bench.pod_says(running())
    await bench.turn()
    assert bench.ready["reason"] == "WaitingForDeletion"
    assert ("delete", "Pod") not in bench.written()


async def test_without_its_network_policy_no_workspace_is_made() -> None:
    bench = Bench()
    await bench.make()
    bench.kube.will_refuse("apply", NETWORK_POLICY, ForbiddenError("no"))
    await bench.turn()
    assert bench.ready["reason"] == "NetworkPolicyRefused"
    assert bench.written() == [("apply_status", "CodeSession")]


async def test_the_policy_keeps_workspaces_from_the_api_server_and_is_written_once() -> None:
    bench = Bench()
    slices = {"metadata": {"name": "kubernetes"}, "endpoints": [{"addresses": ["192.0.2.10"]}]}
    await bench.kube.create(ENDPOINT_SLICE, "default", slices, manager="test")
    await bench.make()
    await bench.turn()
    policy = bench.kube.objects["NetworkPolicy", "demo", "codesessions-workspaces"]
    assert "192.0.2.10/32" in str(policy["spec"]["egress"])
    del bench.kube.objects["Pod", "demo", "ws-abc123"]
    bench.see()
    await bench.turn()
    assert bench.written().count(("apply", "NetworkPolicy")) == 2  # that one, and what is denied to all others


async def test_a_policy_that_somebody_took_away_is_put_back_while_the_session_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.pod_says(running())
    del bench.kube.objects["NetworkPolicy", "demo", "codesessions-workspaces"]
    await bench.turn()
    assert ("NetworkPolicy", "demo", "codesessions-workspaces") not in bench.kube.objects  # not at every turn
    monkeypatch.setattr(networkpolicies, "EVERY_SECONDS", 0.0)
    await bench.turn()
    assert ("NetworkPolicy", "demo", "codesessions-workspaces") in bench.kube.objects


async def test_a_session_that_runs_goes_on_where_its_policy_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    monkeypatch.setattr(networkpolicies, "EVERY_SECONDS", 0.0)
    bench.kube.will_refuse("apply", NETWORK_POLICY, ForbiddenError("no"))
    bench.pod_says(running())
    await bench.turn()
    assert bench.status["phase"] == "Running"
    assert "cannot be made" in caplog.text


async def test_completed_on_request() -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.pod_says(running())
    await bench.turn()
    bench.resource["spec"]["state"] = "Completed"
    bench.resource["metadata"] |= {"resourceVersion": bench.kube.next_version(), "generation": 2}
    bench.see()
    await bench.turn()
    assert (bench.status["phase"], bench.status["observedGeneration"]) == ("Completed", 2)
    assert ("Pod", "demo", "ws-abc123") not in bench.kube.objects
    assert "exitCode" not in bench.status


async def test_the_record_is_deleted_after_its_time_to_live() -> None:
    bench = Bench()
    await bench.make(state="Completed", ttlSecondsAfterFinished=60)
    assert await bench.turn() == timedelta(seconds=60)
    bench.now = NOW + timedelta(seconds=60)
    await bench.turn()
    assert ("CodeSession", "demo", "cs-abc123") not in bench.kube.objects


async def test_an_event_that_is_refused_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    await bench.make()
    await bench.turn()
    bench.kube.will_refuse("create", EVENT, ForbiddenError("quota"))
    bench.pod_says(running())
    await bench.turn()
    assert bench.status["phase"] == "Running"
    assert "was not written" in caplog.text


async def test_a_session_of_an_unknown_form_is_logged_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    await bench.make(state="Paused")
    assert await bench.turn() is None
    assert bench.kube.writes == []
    assert "cannot be read" in caplog.text


async def test_a_key_without_a_session_is_nothing() -> None:
    assert await Bench().turn() is None


class Abandoned:
    """In the archiver's place: what it is told of sessions that are gone."""

    def __init__(self) -> None:
        self.told: list[tuple[str | None, str | None]] = []

    def attempt(self, _: object) -> Attempt:
        return NO_ATTEMPT

    async def abandon(self, _: Key, session: Session | None, address: str | None) -> None:
        self.told.append((session.uid if session is not None else None, address))


async def running_beside(archiver: Abandoned) -> tuple[Bench, Abandoned]:
    """A session whose pod runs and has an address."""
    bench = Bench()
    await bench.make()
    bench.reconciler = bench.another(archiver)
    await bench.turn()
    bench.pod_says({**running(), "podIP": "10.0.0.7"})
    return bench, archiver


async def test_the_pod_of_a_deleted_session_need_not_stay_for_its_transcript() -> None:
    bench, archiver = await running_beside(Abandoned())
    del bench.kube.objects["CodeSession", "demo", "cs-abc123"]
    bench.see()
    await bench.turn()
    del bench.kube.objects["Pod", "demo", "ws-abc123"]
    bench.see()
    await bench.turn()
    assert archiver.told == [("uid-cs", "10.0.0.7"), (None, None)]


async def test_a_pod_whose_session_was_not_heard_of_yet_stays_for_its_transcript() -> None:
    bench, archiver = await running_beside(Abandoned())
    bench.sessions.remove(KEY, int(bench.kube.next_version()))
    await bench.turn()
    assert archiver.told == []
