"""Idempotency-Key on creating a session, over HTTP, and what it is made of."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from codesessions_api import idempotency
from codesessions_api.bodies import CreateSession
from codesessions_api.idempotency import day_of, digest, fingerprint
from codesessions_api.service import session_of_key
from codesessions_crds.names import KEY_LABEL, is_session_name
from codesessions_kube.errors import ConflictError, ForbiddenError, UnavailableError
from codesessions_kube.kinds import CODE_SESSION
from support.livekube import CREATED
from support.restapi import BASE, Rest, serving, until

BODY = {"projectName": "p", "projectDescription": "d"}
MADE = datetime.fromisoformat(CREATED)
KEY = "8e03978e-40d5-43e8-bc93-6894a57f9324"
OVER = ForbiddenError("exceeded quota: q, requested: a=1, used: a=1, limited: a=1", status=403)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "SETTLE_SECONDS", 0.0)


def set_clock(rest: Rest, **after: float) -> None:
    """Some time after what LiveKube calls the moment of creation."""
    rest.application.context.service.now = lambda: MADE + timedelta(**after)  # type: ignore[union-attr]


def sessions(rest: Rest) -> list[dict[str, Any]]:
    return [each for (kind, _, _), each in rest.kube.objects.items() if kind == "CodeSession"]


async def test_calls_at_once_with_one_key_make_one_session_and_all_name_it(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    answers = await asyncio.gather(*(rest.call("POST", BASE, BODY, Idempotency_Key=KEY) for _ in range(8)))
    assert {each.status for each in answers} == {201}
    assert len({each.text for each in answers}) == 1
    assert sorted(each.headers.get("idempotency-replayed", "") for each in answers) == [""] + 7 * ["true"]
    (made,) = sessions(rest)
    assert made["metadata"]["labels"] == {KEY_LABEL: "true"}
    assert is_session_name(made["metadata"]["name"])


async def test_two_replicas_agree(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    async with serving(rest.kube) as other:
        set_clock(other, seconds=2)
        calls = [each.call("POST", BASE, BODY, Idempotency_Key=KEY) for each in (rest, other)]
        first, second = await asyncio.gather(*calls)
    assert first.json == second.json
    assert len(sessions(rest)) == 1


async def test_a_key_is_good_for_a_day(rest: Rest) -> None:
    set_clock(rest, hours=1)
    first = (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).json["sessionId"]
    set_clock(rest, hours=23.99)
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).json["sessionId"] == first
    set_clock(rest, hours=25)
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).json["sessionId"] != first


async def test_another_body_is_refused_and_makes_nothing(rest: Rest) -> None:
    set_clock(rest, hours=1)
    await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)
    for hours in (1, 23.9):
        set_clock(rest, hours=hours)
        answer = await rest.call("POST", BASE, {**BODY, "projectDescription": "e"}, Idempotency_Key=KEY)
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert len(sessions(rest)) == 1


async def test_users_and_organisations_do_not_share_keys(rest: Rest) -> None:
    await rest.kube.add_organization("other")
    keys = [await rest.kube.add_key("demo", userId="u2"), await rest.kube.add_key("other")]
    caches = rest.application.context.caches  # type: ignore[union-attr]
    await until(
        "they are known", lambda: all(caches.keys.find(each.hash) for each in keys) and caches.organization("other")
    )
    ids = {
        (await rest.call("POST", BASE, BODY, key=key, Idempotency_Key=KEY)).json["sessionId"]
        for key in (rest.key, *(each.text for each in keys))
    }
    assert len(ids) == 3


async def test_another_key_of_the_same_user_is_the_same_caller(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    rotated = await rest.kube.add_key("demo", userId="u1")
    caches = rest.application.context.caches  # type: ignore[union-attr]
    await until("it is known", lambda: caches.keys.find(rotated.hash))
    answers = [await rest.call("POST", BASE, BODY, key=key, Idempotency_Key=KEY) for key in (rest.key, rotated.text)]
    assert answers[0].json == answers[1].json


async def test_a_session_that_was_completed_is_named_as_what_it_is(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    first = (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).json["sessionId"]
    assert (await rest.call("DELETE", f"{BASE}/{first}")).status == 204
    again = await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)
    assert again.status == 201
    assert (again.json["sessionId"], again.json["status"]) == (first, "completed")


async def test_one_whose_record_was_deleted_is_made_again_under_its_id(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    first = (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).json["sessionId"]
    await rest.kube.delete(CODE_SESSION, "demo", first.replace("_", "-"))
    again = await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)
    assert (again.json["sessionId"], again.json["status"]) == (first, "creating")
    assert "idempotency-replayed" not in again.headers


async def test_a_quota_that_is_used_up_since_does_not_hide_the_session(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    first = await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)
    rest.kube.will_refuse("create", CODE_SESSION, OVER, OVER)
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).json == first.json
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key="another")).code == "quota_exceeded"


async def test_a_conflict_about_a_quotas_counter_passes(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    rest.kube.will_refuse("create", CODE_SESSION, ConflictError("the object has been modified", status=409))
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).status == 201
    assert len(sessions(rest)) == 1


async def test_a_call_after_one_that_failed_makes_the_session(rest: Rest) -> None:
    set_clock(rest, seconds=1)
    rest.kube.will_refuse("create", CODE_SESSION, UnavailableError("reset by peer"))
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).status == 503
    assert (await rest.call("POST", BASE, BODY, Idempotency_Key=KEY)).status == 201


async def test_nobody_is_sure_which_day_it_is_at_midnight(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another replica began in the last moment of the day before is looked for when it must be there."""
    parts = ("session", "demo", "u1", KEY)
    midnight = MADE + timedelta(seconds=86_400 - day_of(parts, MADE)[1])
    rest.application.context.service.now = lambda: midnight  # type: ignore[union-attr]
    monkeypatch.setattr(idempotency, "SETTLE_SECONDS", 0.3)
    waiting = asyncio.create_task(rest.call("POST", BASE, BODY, Idempotency_Key=KEY))
    name = session_of_key(digest(*parts, str(day_of(parts, midnight)[0] - 1)))
    made = await rest.kube.add_session(name)
    made["metadata"]["creationTimestamp"] = midnight.isoformat()
    made["metadata"]["annotations"] = {idempotency.BODY_ANNOTATION: fingerprint(CreateSession.model_validate(BODY))}
    rest.kube.objects["CodeSession", "demo", name] = made
    assert (await waiting).json["sessionId"] == name.replace("-", "_")


@pytest.mark.parametrize(("key", "same"), [("k1", '"k1"'), ("a b", '"a b"'), ('"a\\"b\\\\"', '"a\\"b\\\\"')])
async def test_a_key_may_be_in_quotes(rest: Rest, key: str, same: str) -> None:
    set_clock(rest, seconds=1)
    answers = [await rest.call("POST", BASE, BODY, Idempotency_Key=each) for each in (key, same)]
    assert answers[0].json == answers[1].json


@pytest.mark.parametrize("key", ['""', '"', '"x', "x" * 256, "schlüssel", 'a"b', "\\", '"\\x"', "a\tb"])
async def test_a_key_that_cannot_be_is_refused(rest: Rest, key: str) -> None:
    answer = await rest.call("POST", BASE, BODY, Idempotency_Key=key)
    assert (answer.status, answer.code) == (422, "invalid_parameter")
    assert sessions(rest) == []


def test_members_that_say_nothing_make_no_other_body() -> None:
    found = [CreateSession.model_validate(each) for each in (BODY, dict(reversed(BODY.items())))]
    assert len({fingerprint(each) for each in found}) == 1


def test_no_two_lists_of_texts_have_one_digest() -> None:
    assert len({digest("a", "bc"), digest("ab", "c"), digest("abc"), digest("abc", "")}) == 4


def test_a_day_has_86400_seconds_and_begins_for_each_key_at_its_own_time() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    day, since = day_of(("a",), moment)
    assert day_of(("a",), moment + timedelta(days=1)) == (day + 1, since)
    assert day_of(("b",), moment)[1] != since
