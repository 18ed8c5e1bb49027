from __future__ import annotations

import asyncio

import pytest
from codesessions_kube.errors import ConflictError, UnavailableError
from codesessions_kube.kinds import LEASE
from codesessions_operator.lease import DURATION_SECONDS, NAME, Leader, LeadershipLostError
from support.kube import MemoryKube
from support.skippingloop import now, run

HOME = "home"


def leader(kube: MemoryKube) -> Leader:
    return Leader(kube, HOME, clock=now)


def holder(kube: MemoryKube) -> str:
    return str(kube.objects["Lease", HOME, NAME]["spec"]["holderIdentity"])


def test_the_first_one_leads() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        spec = kube.objects["Lease", HOME, NAME]["spec"]
        assert spec["holderIdentity"] == first.identity
        assert spec["leaseDurationSeconds"] == DURATION_SECONDS
        assert spec["acquireTime"] == spec["renewTime"]
        assert spec["renewTime"].endswith("Z")

    run(test())


def test_the_second_one_waits_while_the_first_renews() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first, second = leader(kube), leader(kube)
        await first.acquire()
        keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
        await asyncio.sleep(300)
        assert not keeping.done()
        assert not waiting.done()
        assert holder(kube) == first.identity
        keeping.cancel()
        await waiting
        assert holder(kube) == second.identity
        assert kube.objects["Lease", HOME, NAME]["spec"]["leaseTransitions"] == 1

    run(test())


def test_a_lease_that_was_let_go_is_taken_at_once() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first, second = leader(kube), leader(kube)
        await first.acquire()
        await first.release()
        begun = now()
        await second.acquire()
        assert now() - begun < 1
        await first.release()
        assert holder(kube) == second.identity

    run(test())


def test_letting_go_does_not_wait_for_an_api_server_that_is_silent() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        kube.silent = True
        begun = now()
        await first.release()
        assert now() - begun <= 2

    run(test())


def test_of_two_that_begin_together_one_leads() -> None:
    async def test() -> None:
        kube = MemoryKube()
        tasks = [asyncio.create_task(leader(kube).acquire()) for _ in range(3)]
        await asyncio.sleep(1)
        assert sum(task.done() for task in tasks) == 1
        for task in tasks:
            task.cancel()

    run(test())


def test_it_stops_when_another_holds_the_lease() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        kube.objects["Lease", HOME, NAME]["spec"]["holderIdentity"] = "thief"
        with pytest.raises(LeadershipLostError, match="thief"):
            await first.keep()

    run(test())


def test_a_conflict_alone_is_no_loss() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        kube.will_refuse("replace", LEASE, ConflictError("modified"))
        keeping = asyncio.create_task(first.keep())
        await asyncio.sleep(60)
        assert not keeping.done()
        keeping.cancel()

    run(test())


def test_it_stops_before_another_may_take_over() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        begun = now()
        kube.will_refuse("get", LEASE, *[UnavailableError("down")] * 100)
        with pytest.raises(LeadershipLostError, match="in time"):
            await first.keep()
        assert now() - begun < DURATION_SECONDS - 3

    run(test())


def test_it_stops_in_time_even_when_the_api_server_answers_nothing() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        begun = now()
        kube.silent = True
        with pytest.raises(LeadershipLostError, match="in time"):
            await first.keep()
        assert now() - begun < DURATION_SECONDS - 3

    run(test())


def test_a_short_failure_of_the_api_server_changes_nothing() -> None:
    async def test() -> None:
        kube = MemoryKube()
        first = leader(kube)
        await first.acquire()
        kube.will_refuse("get", LEASE, UnavailableError("down"), UnavailableError("down"))
        keeping = asyncio.create_task(first.keep())
        await asyncio.sleep(60)
        assert not keeping.done()
        keeping.cancel()

    run(test())


def test_it_waits_for_an_api_server_that_is_not_there_yet() -> None:
    async def test() -> None:
        kube = MemoryKube()
        kube.will_refuse("get", LEASE, *[UnavailableError("down")] * 3)
        await leader(kube).acquire()
        assert now() == pytest.approx(6, abs=0.1)

    run(test())
