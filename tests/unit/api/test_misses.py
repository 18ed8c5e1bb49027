from __future__ import annotations

import pytest
from codesessions_api import misses
from codesessions_api.misses import ALLOWED, Misses
from codesessions_api.ratelimits import Limit
from codesessions_kube.errors import NotFoundError
from support.restapi import Rest


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_name_is_asked_for_once_a_second() -> None:
    known = Misses(clock := Clock())
    assert known.may_ask("demo", "cs-a")
    known.missed("demo", "cs-a")
    assert not known.may_ask("demo", "cs-a")
    assert known.may_ask("other", "cs-a")
    assert known.may_ask("demo", "cs-b")
    clock.now += 1
    assert known.may_ask("demo", "cs-a")


def test_who_makes_ids_up_asks_no_more_than_so_often_and_others_do_not_notice() -> None:
    known = Misses(clock := Clock())
    asked = sum(known.may_ask("demo", f"cs-{number}") for number in range(10 * ALLOWED.requests))
    assert asked == ALLOWED.requests
    assert known.may_ask("other", "cs-0")
    clock.now += 1
    asked = sum(known.may_ask("demo", f"cs-{number}") for number in range(10 * ALLOWED.requests))
    assert asked == ALLOWED.requests // ALLOWED.seconds


@pytest.mark.parametrize("path", ["code-sessions/cs_{}", "apps/app_{}", "builds/bld_{}"])
async def test_made_up_ids_of_every_kind_are_bounded(rest: Rest, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misses, "ALLOWED", Limit("misses", 3, 3600))
    asked: list[str] = []

    async def get(_kind: object, _namespace: str, name: str) -> object:
        asked.append(name)
        raise NotFoundError("there is none", status=404)

    monkeypatch.setattr(rest.kube, "get", get)
    answers = [await rest.call("GET", f"/api/v1/{path.format(number)}") for number in range(6)]
    assert {each.status for each in answers} == {404}
    assert len(asked) == 3
