from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from codesessions_kube.kinds import CODE_SESSION
from codesessions_kube.store import ObjectStore
from codesessions_operator import health, main, watch
from support.kube import MemoryKube


def item(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"namespace": "demo", "name": name, "resourceVersion": str(version)}}


async def test_sessions_whose_deletion_was_missed_are_forgotten() -> None:
    kube, sessions = MemoryKube(), ObjectStore()
    await kube.create(CODE_SESSION, "demo", item("cs-there", 0), manager="m")
    for each in (item("cs-there", 50), item("cs-gone", 50), item("cs-newer", 5000)):
        sessions.put(each)
    await main.forget_gone(kube, sessions)
    assert {each["metadata"]["name"] for each in sessions.items()} == {"cs-there", "cs-newer"}


async def test_kopf_brings_events_to_the_store_and_is_asked_for_nothing_else() -> None:
    sessions = ObjectStore()
    registry = watch.registry(sessions)
    (handler,) = registry._watching.get_all_handlers()
    assert handler.id.endswith("see")
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []
    assert registry._indexing.get_all_handlers() == []
    await handler.fn(event={"type": None, "object": item("cs-a", 1)})  # type: ignore[call-arg, misc, typeddict-item]
    assert sessions.get("demo", "cs-a") == item("cs-a", 1)
    await handler.fn(event={"type": "DELETED", "object": item("cs-a", 2)})  # type: ignore[call-arg, misc, typeddict-item]
    assert sessions.get("demo", "cs-a") is None


async def test_health_and_metrics() -> None:
    metrics, ready = health.Metrics(), asyncio.Event()
    runner = await health.serve(("127.0.0.1", 0), metrics, ready.is_set, lambda: metrics.queue.set(3))
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as client:
            answers = {}
            for path in ("healthz", "readyz", "metrics"):
                async with client.get(f"{base}/{path}") as response:
                    answers[path] = (response.status, await response.text())
            ready.set()
            async with client.get(f"{base}/readyz") as response:
                assert response.status == 200
    finally:
        await runner.cleanup()
    assert answers["healthz"] == (200, "ok\n")
    assert answers["readyz"][0] == 503
    assert "codesessions_operator_queue_depth 3.0" in answers["metrics"][1]


def test_settings_that_cannot_be_end_it_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["codesessions-operator"])
    monkeypatch.setenv("CODESESSIONS_MASTER_KEY_FILE", "/nonexistent")
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 2
    assert "CODESESSIONS_" in capsys.readouterr().err
