from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from codesessions_kube.errors import NotFoundError
from codesessions_operator.apps.facts import read_rollout
from codesessions_operator.apps.lastwords import BYTES, LastWords
from support.deploys import NOW, app_pod, deployment, ended


class Logs:
    """Answers with a text, and remembers what it was asked for."""

    def __init__(self, text: bytes | None) -> None:
        self.text, self.asked = text, list[dict[str, Any]]()

    async def log(self, *_: str, **how: Any) -> AsyncIterator[bytes]:
        self.asked.append(how)
        if self.text is None:
            raise NotFoundError("it is gone", status=404)
        yield self.text


def pod(code: int, *, running: bool = False) -> dict[str, Any]:
    state = {"running": {}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    found = app_pod(2, {"restartCount": 2, "ready": False, "state": state, "lastState": ended(code)})
    found["metadata"]["uid"] = "uid-pod"
    return found


async def message(logs: Logs, *pods: dict[str, Any]) -> str:
    words = LastWords(logs)  # type: ignore[arg-type]
    for _ in range(2):
        found = await words.complete(pods)
    return read_rollout(deployment(2, ready=False), found, 2, 1, NOW).message


async def test_of_an_end_with_exit_code_0_the_last_lines_are_read_once() -> None:
    logs = Logs(b"nothing to do, bye\n")
    said = await message(logs, pod(0))
    assert "exit code 0" in said
    assert "$PORT" in said
    assert said.endswith("nothing to do, bye")
    assert [each["previous"] for each in logs.asked] == [False]


async def test_of_one_that_runs_again_those_before_are_read() -> None:
    logs = Logs(b"x" * 2 * BYTES)
    said = await message(logs, pod(0, running=True))
    assert said.endswith("\n" + "x" * BYTES)
    assert [each["previous"] for each in logs.asked] == [True]


async def test_of_other_ends_the_kubelet_has_told_all() -> None:
    logs = Logs(b"never asked for")
    assert "it said nothing" in await message(logs, pod(3))
    assert logs.asked == []


async def test_a_log_that_is_gone_is_no_reason_to_wait() -> None:
    assert "it said nothing" in await message(Logs(None), pod(0))


async def test_of_one_that_never_gets_ready_the_lines_of_then_are_kept() -> None:
    logs = Logs(b"listening on 127.0.0.1:3000\n")
    words = LastWords(logs)  # type: ignore[arg-type]
    ready = app_pod(2, {"ready": True, "state": {"running": {}}})
    deaf = app_pod(2, {"ready": False, "state": {"running": {}}})
    deaf["metadata"]["uid"] = "uid-deaf"
    assert await words.of_waiting([ready]) == ""
    assert await words.of_waiting([ready, deaf]) == "listening on 127.0.0.1:3000"
    logs.text = b"listening on 127.0.0.1:3000\nstill here\n"
    assert await words.of_waiting([deaf]) == "listening on 127.0.0.1:3000"
    assert len(logs.asked) == 1
