"""Gateway, API and operator killed while somebody types: all is typed once, all is shown once."""

from __future__ import annotations

import asyncio
import functools
import itertools

import pytest
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from codesessions_dev.say import DevError
from support.faults import scaled
from support.kubectl import Kubectl
from support.session import Sessions, until
from support.typist import Typist

SYSTEM = "codesessions-system"
KILLS = scaled(1, 4)


@pytest.mark.timeout(900)
async def test_components_killed_while_typing(
    access: Access, client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = await asyncio.to_thread(sessions.create, "killed while typing")
    await asyncio.to_thread(session.type, "stty raw -echo; printf 'rea''dy<>'; exec cat\n")
    await asyncio.to_thread(session.read_until, "ready<>")
    endpoint = (await asyncio.to_thread(session.get))["ptyEndpoint"]
    typist = Typist(access, endpoint)
    typing = asyncio.create_task(typist.run(session.seen))
    system = Kubectl(access.kubeconfig, SYSTEM)
    by_rest = 0

    def type_by_rest(number: int) -> None:
        """With the same inputSeq until it is taken."""
        while True:
            try:
                body = {"text": f"<b{number}>", "inputSeq": number, "writer": "b"}
                status, answer = client.call("POST", f"{session.path}/input", body)
            except DevError:
                continue
            assert status in {200, 429, 500, 502, 503, 504}, answer
            if status == 200:
                return

    async def rest() -> None:
        nonlocal by_rest
        for number in itertools.count(1):
            if typist.stop:
                return
            await asyncio.to_thread(type_by_rest, number)
            by_rest = number

    posting = asyncio.create_task(rest())
    for _ in range(KILLS):
        for component in ("gateway", "api", "operator"):
            selector = f"--selector=app.kubernetes.io/component={component}"
            pods = functools.partial(system.ready_pods, selector)
            old, cuts = await asyncio.to_thread(pods), typist.cuts
            await asyncio.to_thread(system, "delete", "pod", selector, "--grace-period=0", "--force")
            replaced = lambda old=old, pods=pods: (new := pods()) and not new & old  # noqa: E731
            await asyncio.to_thread(until, f"another {component} is ready", replaced, seconds=240)
            if component == "gateway":
                cut = lambda cuts=cuts: typist.cuts > cuts  # noqa: E731
                await asyncio.to_thread(until, "the terminal is cut", cut, seconds=240)
            before, posted = typist.typed, by_rest

            def goes_on(before: int = before, posted: int = posted) -> bool:
                return typing.done() or (typist.typed >= before + 20 and by_rest >= posted + 5)

            await asyncio.to_thread(until, "typing goes on", goes_on, seconds=240)
    typist.stop = True
    await posting
    await typing
    shown = await asyncio.to_thread(session.run_out, f"<b{by_rest}>", f"<a{typist.typed}>")
    assert shown.startswith(typist.text)
    pieces = shown.removeprefix("<").removesuffix(">").split("><")
    assert [piece for piece in pieces if piece[0] == "a"] == [f"a{number}" for number in range(1, typist.typed + 1)]
    assert [piece for piece in pieces if piece[0] == "b"] == [f"b{number}" for number in range(1, by_rest + 1)]
    assert typist.cuts >= KILLS
    assert session.resource()["status"].get("restarts", 0) == 0
