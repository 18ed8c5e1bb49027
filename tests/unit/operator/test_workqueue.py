from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from codesessions_kube.store import Key
from codesessions_operator.workqueue import LONGEST_DELAY, Work, WorkQueue
from support.skippingloop import now, run

A, B = ("demo", "cs-a"), ("demo", "cs-b")


@contextlib.asynccontextmanager
async def working(queue: WorkQueue, workers: int = 4) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run(workers))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_a_key_that_waits_waits_once() -> None:
    async def test() -> None:
        done: list[Key] = []

        async def work(key: Key) -> None:
            done.append(key)

        queue = WorkQueue(work)
        for key in (A, A, B, A):
            queue.add(key)
        assert len(queue) == 2
        async with working(queue):
            await asyncio.sleep(1)
        assert done == [A, B]
        assert len(queue) == 0

    run(test())


def test_a_key_is_worked_on_by_one_worker_at_a_time_and_once_more_afterwards() -> None:
    async def test() -> None:
        at_once, most, passes = 0, 0, 0
        gate = asyncio.Event()

        async def work(_: Key) -> None:
            nonlocal at_once, most, passes
            at_once, passes = at_once + 1, passes + 1
            most = max(most, at_once)
            await gate.wait()
            at_once -= 1

        queue = WorkQueue(work)
        async with working(queue):
            queue.add(A)
            await asyncio.sleep(0.01)
            for _ in range(5):
                queue.add(A)
            assert len(queue) == 1
            await asyncio.sleep(0.01)
            assert passes == 1
            gate.set()
            await asyncio.sleep(1)
        assert (most, passes) == (1, 2)

    run(test())


def test_different_keys_are_worked_on_at_once() -> None:
    async def test() -> None:
        both = asyncio.Barrier(2)

        async def work(_: Key) -> None:
            await both.wait()

        queue = WorkQueue(work)
        async with working(queue), asyncio.timeout(60):
            queue.add(A)
            queue.add(B)
            await asyncio.sleep(1)
            assert both.n_waiting == 0

    run(test())


def times_of(work_result: Work, *, seconds: float) -> list[float]:
    """When a key that was added at 0 is worked on."""

    async def test() -> list[float]:
        times: list[float] = []

        async def work(key: Key) -> timedelta | None:
            times.append(now())
            return await work_result(key)

        queue = WorkQueue(work)
        async with working(queue):
            queue.add(A)
            await asyncio.sleep(seconds)
        return times

    return run(test())


def test_it_comes_back_when_it_is_due() -> None:
    async def work(_: Key) -> timedelta:
        return timedelta(seconds=10)

    assert times_of(work, seconds=25) == pytest.approx([0, 10, 20], abs=0.3)


def test_a_failure_is_repeated_after_a_growing_delay_with_an_end() -> None:
    async def work(_: Key) -> None:
        raise OSError("no")

    times = times_of(work, seconds=600)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert 0.1 <= gaps[0] <= 0.2
    assert gaps[5] > gaps[0] * 8
    assert max(gaps) <= LONGEST_DELAY
    assert len(times) < 30


def test_after_a_success_the_delay_is_short_again() -> None:
    results = iter([OSError(), OSError(), OSError(), None, OSError(), None])

    async def work(_: Key) -> timedelta | None:
        result = next(results, None)
        if result is not None:
            raise result
        return timedelta(seconds=100)

    times = times_of(work, seconds=150)
    assert times[5] - times[4] <= 0.2


def test_failures_are_told() -> None:
    async def test() -> None:
        told: list[tuple[Key, str]] = []

        async def work(_: Key) -> None:
            raise OSError("broken")

        queue = WorkQueue(work, failed=lambda key, error: told.append((key, str(error))))
        async with working(queue):
            queue.add(A)
            await asyncio.sleep(0.05)
        assert told == [(A, "broken")]

    run(test())


def test_the_earliest_of_several_delays_counts() -> None:
    async def test() -> None:
        times: list[float] = []

        async def work(_: Key) -> None:
            times.append(now())

        queue = WorkQueue(work)
        async with working(queue):
            queue.add_after(A, 50)
            queue.add_after(A, 10)
            queue.add_after(A, 30)
            await asyncio.sleep(100)
        assert times == [pytest.approx(10, abs=0.1)]

    run(test())


def test_a_pass_that_comes_early_replaces_the_delayed_one() -> None:
    async def test() -> None:
        times: list[float] = []

        async def work(_: Key) -> None:
            times.append(now())

        queue = WorkQueue(work)
        async with working(queue):
            queue.add_after(A, 50)
            queue.add(A)
            await asyncio.sleep(100)
        assert len(times) == 1

    run(test())
