"""An API server that is silent is noticed, and for how long."""

from __future__ import annotations

import asyncio

from codesessions_api.pulse import AGAIN_SECONDS, EVERY_SECONDS, Pulse
from support.kube import MemoryKube


class Moody(MemoryKube):
    def __init__(self, *answers: bool) -> None:
        super().__init__()
        self.answers = list(answers)

    async def alive(self) -> bool:
        if not self.answers:
            await asyncio.Event().wait()
        return self.answers.pop(0)


async def silence(*answers: bool) -> tuple[float, list[float]]:
    """How long it is silent after some answers, 10 s apart, and the pauses between."""
    now, pauses, over = [0.0], list[float](), asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += 10.0
        if len(pauses) == len(answers):
            over.set()

    kube = Moody(*answers)
    pulse = Pulse(kube, clock=lambda: now[0], sleep=sleep)
    task = asyncio.create_task(pulse.run())
    await over.wait()
    task.cancel()
    return pulse.silent_seconds, pauses


async def test_while_it_answers_nothing_is_old() -> None:
    seconds, pauses = await silence(True, True)
    assert seconds == 0
    assert all(EVERY_SECONDS * 0.8 <= each <= EVERY_SECONDS * 1.2 for each in pauses)


async def test_silence_counts_from_the_last_answer() -> None:
    seconds, pauses = await silence(True, False, False)
    assert seconds == 30
    assert all(each <= AGAIN_SECONDS * 1.2 for each in pauses[1:])


async def test_one_answer_ends_it() -> None:
    assert (await silence(True, False, True))[0] == 0
