"""Limits: the buckets by a clock of the tests, and what callers see of them."""

from __future__ import annotations

import random

import pytest
from codesessions_api.addresses import client_of, networks
from codesessions_api.ratelimits import Buckets, Limit
from codesessions_api.settings import ApiSettings, SettingsError
from codesessions_kube.kinds import API_KEY
from support.restapi import BASE, ONE, Rest, serving, until

BODY = {"projectName": "p", "projectDescription": "d"}


def test_a_bucket_gives_all_it_has_at_once_and_then_as_it_fills() -> None:
    buckets, limit = Buckets(), Limit("reads", 10, 5)
    assert [buckets.take("k", limit, 100.0).left for _ in range(10)] == list(range(9, -1, -1))
    refused = buckets.take("k", limit, 100.0)
    assert (refused.allowed, refused.left) == (False, 0)
    assert refused.next_in == pytest.approx(0.5)
    assert refused.full_in == pytest.approx(5)
    assert not buckets.take("k", limit, 100.49).allowed
    assert buckets.take("k", limit, 100.51).allowed
    assert not buckets.take("k", limit, 100.52).allowed
    assert buckets.take("k", limit, 200.0).left == 9
    assert buckets.take("another", limit, 100.0).allowed


@pytest.mark.parametrize(("requests", "seconds"), [(1, 1), (3, 7), (600, 60), (20_000, 10), (1, 86_400)])
def test_no_span_of_time_sees_more_than_the_limit_allows(requests: int, seconds: int) -> None:
    buckets, limit, chance = Buckets(), Limit("reads", requests, seconds), random.Random(requests)
    now, taken = 1e6, []
    for _ in range(3 * requests + 100):
        now += chance.random() * seconds / requests
        if buckets.take("k", limit, now).allowed:
            taken.append(now)
    for number, first in enumerate(taken[:200]):
        within = sum(1 for each in taken[number:] if each < first + seconds)
        assert within <= 2 * requests
    assert len(taken) <= requests + (now - 1e6) * requests / seconds + 1


def test_memory_is_bounded_and_full_buckets_go_first() -> None:
    buckets, limit = Buckets(100), Limit("x", 2, 10)
    for _ in range(2):
        buckets.take("busy", limit, 0.0)
    for number in range(99):
        buckets.take(number, limit, -100.0)
    buckets.take("one more", limit, 1.0)
    assert len(buckets) <= 100
    assert not buckets.take("busy", limit, 1.0).allowed
    for number in range(100_000):
        buckets.take(number, limit, 2.0)
        assert len(buckets) <= 101


async def test_answers_say_how_the_limit_stands() -> None:
    limits = {name: Limit(name, 5, 600) for name in ("reads", "writes", "creates")}
    async with serving(rate_limits=limits) as rest:
        first = await rest.call("GET", BASE)
        assert first.headers["ratelimit-policy"] == '"reads";q=5;w=600'
        assert first.headers["ratelimit"] == '"reads";r=4;t=120'
        assert (await rest.call("HEAD", BASE)).headers["ratelimit"].startswith('"reads";r=3;')
        assert (await rest.call("GET", f"{BASE}/cs_nosuch")).headers["ratelimit"].startswith('"reads";r=2;')
        assert (await rest.call("POST", BASE, BODY)).headers["ratelimit"].startswith('"creates";r=4;')
        await rest.kube.add_session(ip=rest.sidecar.ip)
        typed = await rest.call("POST", f"{ONE}/input", {"text": "x"})
        assert typed.headers["ratelimit"].startswith('"writes";r=4;')


async def test_one_that_asks_too_often_is_told_when_to_come_again_and_others_are_served() -> None:
    async with serving(rate_limits={"reads": Limit("reads", 2, 600)}) as rest:
        answers = [await rest.call("GET", BASE) for _ in range(3)]
        assert [each.status for each in answers] == [200, 200, 429]
        refused = answers[-1]
        assert refused.code == "rate_limited"
        assert 240 <= int(refused.headers["retry-after"]) <= 300  # less what the calls took
        assert refused.headers["ratelimit"].startswith('"reads";r=0;t=')
        assert "2 reads in 600 s" in refused.json["detail"]
        assert (await rest.call("POST", BASE, BODY)).status == 201
        other = await rest.kube.add_key()
        await until("it is known", lambda: rest.application.context.caches.keys.find(other.hash))  # type: ignore[union-attr]
        assert (await rest.call("GET", BASE, key=other.text)).status == 200


async def test_a_key_may_have_limits_of_its_own(rest: Rest) -> None:
    own = {"reads": {"requests": 1, "seconds": 60}, "writes": {"requests": 0, "seconds": "x"}}
    key = await rest.kube.add_key(rateLimits=own)
    caches = rest.application.context.caches  # type: ignore[union-attr]
    await until("it is known", lambda: caches.keys.find(key.hash))
    answers = [await rest.call("GET", BASE, key=key.text) for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"reads";q=1;w=60'
    assert "its APIKey" in answers[1].json["detail"]
    assert (await rest.call("POST", BASE, BODY, key=key.text)).status == 201
    more = {"spec": {"rateLimits": {"reads": {"requests": 100, "seconds": 1}}}}
    await rest.kube.patch(API_KEY, "demo", f"csk-{key.id}", more, manager="t")
    await until("it is told", lambda: "100" in str(caches.keys.find(key.hash)))
    answer = await rest.call("GET", BASE, key=key.text)  # the bucket is as empty as it was, but fills faster
    assert answer.headers["ratelimit-policy"] == '"reads";q=100;w=1'
    assert answer.status == 200 or answer.headers["retry-after"] == "1"


async def test_without_limits_there_are_no_headers(rest: Rest) -> None:
    assert not [name for name in (await rest.call("GET", BASE)).headers if name.startswith("ratelimit")]


async def test_an_address_that_guesses_keys_is_held_up_and_good_keys_behind_it_are_not() -> None:
    limits = {"unauthenticated": Limit("unauthenticated", 3, 600)}
    async with serving(rate_limits=limits, proxies=networks("127.0.0.0/8")) as rest:
        for number in range(3):
            assert (await rest.call("GET", BASE, key=f"csk_guess{number}", X_Forwarded_For="1.1.1.1")).status == 401
        answer = await rest.call("GET", BASE, key="csk_guess3", X_Forwarded_For="9.9.9.9, 1.1.1.1")
        assert (answer.status, answer.code) == (429, "rate_limited")
        assert 140 <= int(answer.headers["retry-after"]) <= 200
        assert (await rest.call("POST", f"{ONE}/input", key="", X_Forwarded_For="1.1.1.1")).status == 429
        assert (await rest.call("GET", BASE, key="csk_guess4", X_Forwarded_For="2.2.2.2")).status == 401
        assert (await rest.call("GET", BASE, X_Forwarded_For="1.1.1.1")).status == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("10.0.0.1", ["6.6.6.6"], "", "10.0.0.1"),
        ("10.0.0.1", ["6.6.6.6"], "10.0.0.0/8", "6.6.6.6"),
        ("10.0.0.1", ["6.6.6.6, 7.7.7.7, 10.2.3.4"], "10.0.0.0/8", "7.7.7.7"),
        ("10.0.0.1", ["6.6.6.6", "7.7.7.7"], "10.0.0.0/8", "7.7.7.7"),
        ("10.0.0.1", ["nonsense"], "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.0/8", "10.0.0.1"),
        ("11.0.0.1", ["6.6.6.6"], "10.0.0.0/8", "11.0.0.1"),
        ("::ffff:10.0.0.1", ["6.6.6.6"], "10.0.0.0/8", "6.6.6.6"),
        ("10.0.0.1", ["2001:db8:1:2:3::4"], "10.0.0.0/8", "2001:db8:1:2::/64"),
        ("fd00::1", ["[2001:db8::1]"], "fd00::/8", "2001:db8::/64"),
        ("", ["6.6.6.6"], "10.0.0.0/8", "unknown"),
    ],
)
def test_a_client_is_found_behind_proxies_that_are_trusted(
    peer: str, forwarded: list[str], proxies: str, client: str
) -> None:
    assert client_of(peer, forwarded, networks(proxies)) == client


@pytest.mark.parametrize("text", ["10", "1/0", "0/1", "-1/5", "1.5/1", "1/", "x/1", "1/2/3", ""])
def test_a_setting_that_is_no_limit_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="CODESESSIONS_RATE_READS"):
        _ = ApiSettings(rate_reads=text).rate_limits


def test_zero_is_no_limit() -> None:
    assert "reads" not in ApiSettings(rate_reads="0").rate_limits
    assert ApiSettings().rate_limits["creates"] == Limit("creates", 600, 60)


def test_networks_that_are_none_are_named() -> None:
    with pytest.raises(SettingsError, match="CODESESSIONS_TRUSTED_PROXIES"):
        _ = ApiSettings(trusted_proxies="10.0.0.0/8, nowhere").proxies
