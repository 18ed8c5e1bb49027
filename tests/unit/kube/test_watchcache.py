from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from codesessions_kube.errors import GoneError, UnavailableError
from codesessions_kube.kinds import POD
from codesessions_kube.store import Key
from codesessions_kube.watchcache import WatchCache
from support.kube import MemoryKube


def pod(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "demo", "name": name, "resourceVersion": str(version)}, **more}


class Pauses:
    """Counts the pauses and takes none."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class Bench:
    """A cache, the API server it follows, and its pauses."""

    def __init__(self, **options: Any) -> None:
        self.kube, self.pauses, self.changed = MemoryKube(), Pauses(), list[Key]()
        self.cache = WatchCache(self.kube, POD, changed=self.changed.append, sleep=self.pauses, **options)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[WatchCache]:
        task = asyncio.create_task(self.cache.run())
        try:
            yield self.cache
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def send(self, kind: str, item: dict[str, Any]) -> None:
        self.kube.feed.put_nowait({"type": kind, "object": item})

    async def see(self, name: str, *, there: bool = True) -> None:
        await self.cache.wait_for("demo", name, lambda found: (found is not None) == there, seconds=60)
        assert (self.cache.get("demo", name) is not None) == there


async def test_it_lists_then_follows() -> None:
    bench = Bench()
    await bench.kube.create(POD, "demo", pod("a", 0), manager="m")
    async with bench.running() as cache:
        await cache.synced.wait()
        assert cache.get("demo", "a") is not None
        assert cache.stale_since is None
        bench.send("ADDED", pod("b", 200))
        await bench.see("b")
        bench.send("DELETED", pod("b", 201))
        await bench.see("b", there=False)
    assert bench.changed == [("demo", "a"), ("demo", "b"), ("demo", "b")]


async def test_it_is_stale_until_the_first_list() -> None:
    bench = Bench()
    assert bench.cache.stale_since is not None
    bench.kube.will_refuse("list", POD, *[UnavailableError("no")] * 4)
    async with bench.running() as cache:
        await cache.synced.wait()
    assert len(bench.pauses.seconds) == 4
    assert bench.pauses.seconds == sorted(bench.pauses.seconds) or max(bench.pauses.seconds) <= 1.6


async def test_a_watch_that_ends_goes_on_from_its_last_version() -> None:
    bench = Bench()
    async with bench.running() as cache:
        await cache.synced.wait()
        bench.send("ADDED", pod("a", 200))
        bench.send("BOOKMARK", {"metadata": {"resourceVersion": "250"}})
        bench.kube.feed.put_nowait(None)
        bench.send("ADDED", pod("b", 251))
        await bench.see("b")
    assert bench.kube.watched == ["100", "250"]
    assert bench.kube.listed == 1


async def test_a_broken_watch_is_stale_and_goes_on_from_its_last_version() -> None:
    bench = Bench()
    async with bench.running() as cache:
        await cache.synced.wait()
        bench.send("ADDED", pod("a", 200))
        await bench.see("a")
        bench.kube.will_refuse("watch", POD, UnavailableError("down"), UnavailableError("down"))
        bench.kube.feed.put_nowait(UnavailableError("reset by peer"))
        bench.send("ADDED", pod("b", 201))
        await bench.see("b")
        assert cache.stale_since is None
        assert cache.get("demo", "a") is not None
    assert bench.kube.watched == ["100", "200"]
    assert bench.kube.listed == 1
    assert len(bench.pauses.seconds) == 3


async def test_a_watch_that_breaks_is_noted() -> None:
    bench = Bench()
    noted = asyncio.Event()

    async def sleep(_: float) -> None:
        noted.set()
        await asyncio.Event().wait()

    bench.cache = WatchCache(bench.kube, POD, sleep=sleep)
    async with bench.running() as cache:
        await cache.synced.wait()
        bench.kube.feed.put_nowait(UnavailableError("reset by peer"))
        await noted.wait()
        assert cache.stale_since is not None


@pytest.mark.parametrize("how", ["event", "status"])
async def test_a_version_that_is_too_old_means_to_list_again(how: str) -> None:
    bench = Bench()
    await bench.kube.create(POD, "demo", pod("a", 0), manager="m")
    await bench.kube.create(POD, "demo", pod("b", 0), manager="m")
    async with bench.running() as cache:
        await cache.synced.wait()
        del bench.kube.objects["Pod", "demo", "a"]
        if how == "event":
            bench.send("ERROR", {"code": 410, "message": "too old resource version"})
        else:
            bench.kube.will_refuse("watch", POD, GoneError("too old", status=410))
            bench.kube.feed.put_nowait(None)
        await bench.see("a", there=False)
        assert cache.get("demo", "b") is not None
    assert bench.kube.listed == 2


async def test_an_api_server_that_always_says_gone_is_not_hammered() -> None:
    bench = Bench()
    bench.kube.will_refuse("watch", POD, *[GoneError("too old", status=410)] * 8)
    async with bench.running():
        bench.send("ADDED", pod("a", 200))
        await bench.see("a")
    assert len(bench.pauses.seconds) == 8
    assert max(bench.pauses.seconds) > 2.5


async def test_something_unexpected_does_not_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    async with bench.running() as cache:
        await cache.synced.wait()
        bench.send("ADDED", {"no": "metadata"})
        bench.send("ADDED", pod("a", 200))
        await bench.see("a")
    assert "unexpected" in caplog.text


async def test_waiting_wakes_at_the_change_that_is_waited_for() -> None:
    bench = Bench()
    async with bench.running() as cache:
        await cache.synced.wait()
        is_second = lambda found: found is not None and found.get("phase") == 2  # noqa: E731
        waiting = [asyncio.create_task(cache.wait_for("demo", "a", is_second, seconds=60)) for _ in range(3)]
        bench.send("ADDED", pod("a", 200, phase=1))
        await bench.see("a")
        assert not any(task.done() for task in waiting)
        bench.send("MODIFIED", pod("a", 201, phase=2))
        for found in await asyncio.gather(*waiting):
            assert (found or {})["phase"] == 2
    assert cache._waiters == {}


async def test_waiting_in_vain_ends_with_what_is_there() -> None:
    cache = Bench().cache
    assert await cache.wait_for("demo", "a", lambda found: found is not None, seconds=0) is None
    assert cache._waiters == {}


async def test_what_nobody_reads_can_be_taken_out() -> None:
    bench = Bench(transform=lambda item: {"metadata": item["metadata"]})
    await bench.kube.create(POD, "demo", pod("a", 0, spec={"big": 1}), manager="m")
    async with bench.running() as cache:
        await cache.synced.wait()
        bench.send("ADDED", pod("b", 200, spec={"big": 1}))
        await bench.see("b")
        assert all("spec" not in item for item in cache.items())
