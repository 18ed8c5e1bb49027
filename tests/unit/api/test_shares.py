from __future__ import annotations

import asyncio

import pytest
from codesessions_api.problems import Problem
from codesessions_api.shares import Shares
from support.restapi import BASE, ONE, serving, until


def test_one_organisation_has_three_quarters_at_most() -> None:
    shares = Shares(8)
    for _ in range(6):
        shares.enter("greedy")
    with pytest.raises(Problem) as caught:
        shares.enter("greedy")
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    shares.enter("other")
    shares.leave("greedy")
    shares.enter("greedy")


async def test_who_holds_all_that_one_may_hold_keeps_nobody_else_out() -> None:
    async with serving(request_limit=4) as rest:
        await rest.kube.add_organization("other")
        other = (await rest.kube.add_key("other")).text
        await rest.kube.add_session(phase="Creating")
        wait = {"Prefer": "wait=30"}
        polls = [asyncio.create_task(rest.call("POST", f"{ONE}/input", {"text": "x"}, **wait)) for _ in range(3)]
        await until("they are held", lambda: rest.application.metrics.held._value.get() == 3)
        refused = await rest.call("GET", BASE)
        assert (refused.status, refused.code) == (503, "overloaded")
        assert (await rest.call("GET", BASE, key=other)).status == 200
        await rest.kube.set_status(phase="Failed")
        await asyncio.gather(*polls)
        assert (await rest.call("GET", BASE)).status == 200  # and what was held is given back


async def test_refusals_give_back_what_they_held() -> None:
    async with serving(request_limit=4) as rest:
        reader = (await rest.kube.add_key("demo", "code-sessions:read")).text
        for _ in range(9):
            assert (await rest.call("POST", BASE, {}, key=reader)).code == "missing_scope"
        assert (await rest.call("GET", BASE)).status == 200
