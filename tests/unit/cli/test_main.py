"""The commands, with a cluster in memory; tests/e2e/api/test_cli.py has a real one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from codesessions_cli import keys, main, orgs, quotas
from codesessions_cli.orgs import RefusedError
from codesessions_crds.credentials import hash_api_key, is_well_formed_key, new_api_key
from codesessions_kube.errors import ForbiddenError, NotFoundError, UnavailableError
from codesessions_kube.kinds import API_KEY, NAMESPACE, RESOURCE_QUOTA
from support.livekube import LiveKube

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = ["NAMESPACE", "ORGANIZATION", "SESSIONS", "APPS", "CPU", "MEMORY", "STORAGE"]


class Kube(LiveKube):
    """Entered as `connect()` is; lists by label and namespace as these commands need it."""

    async def __aenter__(self) -> Kube:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def list(self, kind: Any, namespace: str | None = None, *, selector: str = "") -> tuple[list[Any], str]:
        items, version = await super().list(kind)
        if namespace is not None:
            items = [item for item in items if item["metadata"]["namespace"] == namespace]
        found = re.fullmatch(r"(\S+)(?: in \((.*)\))?", selector)
        if found:
            wanted = found[2].split(",") if found[2] else None
            labels = [(item, item["metadata"].get("labels", {}).get(found[1])) for item in items]
            items = [item for item, label in labels if label and (wanted is None or label in wanted)]
        return items, version


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> Kube:
    made = Kube()

    async def connect() -> Kube:
        return made

    monkeypatch.setattr(main, "connect", connect)
    return made


def run(*argv: str) -> None:
    main.main(argv)


def fails(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        main.main(argv)
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


def made_key(kube: Kube, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    run("keys", "create", "--org", "acme", "--user", "alice", "-o", "json", *more)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def acme(kube: Kube, capsys: pytest.CaptureFixture[str]) -> Kube:
    run("org", "create", "acme")
    capsys.readouterr()
    return kube


def test_an_organisation_is_made_and_listed(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    run("org", "create", "acme", "-o", "json")
    assert json.loads(capsys.readouterr().out) == {"namespace": "acme", "organizationId": "org_acme"}
    run("org", "create", "acme")
    capsys.readouterr()
    run("org", "list", "-o", "json")
    assert json.loads(capsys.readouterr().out) == [{"namespace": "acme", "organizationId": "org_acme", "quota": {}}]
    run("org", "list")
    assert capsys.readouterr().out.split() == [*HEAD, "acme", "org_acme", *5 * "-"]
    labels = kube.objects["Namespace", "", "acme"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_limits_are_set_changed_and_taken_away(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    run("org", "create", "acme", "--max-sessions", "20", "--cpu", "8", "-o", "json")
    hard = {"count/codesessions.codesessions.dev": "20", "requests.cpu": "8"}
    assert json.loads(capsys.readouterr().out)["hard"] == hard
    assert kube.objects["ResourceQuota", "acme", "codesessions"]["spec"] == {"hard": hard}
    assert kube.objects["LimitRange", "acme", "codesessions"]["spec"]["limits"][0]["type"] == "Container"
    run("org", "create", "acme")
    assert kube.objects["ResourceQuota", "acme", "codesessions"]["spec"] == {"hard": hard}
    run("org", "create", "acme", "--cpu", "none", "--storage", "10Gi")
    hard = {"count/codesessions.codesessions.dev": "20", "requests.storage": "10Gi"}
    assert kube.objects["ResourceQuota", "acme", "codesessions"]["spec"] == {"hard": hard}
    run("org", "create", "acme", "--max-sessions", "none", "--storage", "none")
    assert ("ResourceQuota", "acme", "codesessions") not in kube.objects


def test_a_list_shows_what_is_used_of_the_tightest_quota(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    run("org", "create", "acme", "--max-sessions", "20", "--memory", "1Gi")
    memory = "requests.memory"
    quota = kube.objects["ResourceQuota", "acme", "codesessions"]
    quota["status"] = {"hard": quota["spec"]["hard"], "used": {memory: "512Mi"}}
    own = {"hard": {memory: "600M"}, "used": {memory: "536870912"}}
    for name, spec in (("of-the-platform", {}), ("of-some-pods", {"scopes": ["BestEffort"]})):
        other = {"metadata": {"name": name, "namespace": "acme"}, "spec": spec, "status": own}
        kube.objects["ResourceQuota", "acme", name] = other
    capsys.readouterr()
    run("org", "list", "-o", "json")
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["quota"] == {
        "sessions": {"used": "0", "hard": "20"},
        "memory": {"used": "536870912", "hard": "600M"},
    }
    run("org", "list")
    assert capsys.readouterr().out.split()[-5:] == ["0/20", "-", "-", "536870912/600M", "-"]


def test_a_list_without_the_right_to_see_quotas_says_so(acme: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    acme.will_refuse("list", RESOURCE_QUOTA, ForbiddenError("no", status=403))
    run("org", "list", "-o", "json")
    said = capsys.readouterr()
    assert json.loads(said.out) == [{"namespace": "acme", "organizationId": "org_acme", "quota": None}]
    assert "resourcequotas" in said.err


@pytest.mark.parametrize(
    "words",
    [("--max-sessions", "-1"), ("--max-apps", "1.5"), ("--cpu", "-1"), ("--memory", "16 Gi"), ("--storage", "")],
)
def test_a_limit_that_cannot_be_is_refused(
    kube: Kube, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    code, text = fails(capsys, "org", "create", "acme", "=".join(words))
    assert (code, kube.writes) == (2, [])
    assert words[0] in text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("500m", Decimal("0.5")),
        ("16Gi", 2**34),
        ("1k", 1000),
        ("1.5Ki", 1536),
        ("2e3", 2000),
        ("5n", Decimal("5e-9")),
    ],
)
def test_quantities_are_numbers(text: str, number: Decimal) -> None:
    assert quotas.amount(text) == number


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_the_clusters_own_namespaces_are_no_organisations(
    kube: Kube, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, text = fails(capsys, "org", "create", name)
    assert code == 1
    assert name in text
    assert kube.writes == []


async def test_a_namespace_that_is_another_organisation_stays_so(kube: Kube) -> None:
    labels = {"codesessions.dev/organization": "org_other"}
    await kube.create(NAMESPACE, None, {"metadata": {"name": "acme", "labels": labels}}, manager="t")
    with pytest.raises(RefusedError, match="org_other"):
        await orgs.create(kube, "acme")


@pytest.mark.parametrize("level", ["restricted", "baseline"])
async def test_the_pod_security_that_a_platform_team_has_chosen_stays(kube: Kube, level: str) -> None:
    label = "pod-security.kubernetes.io/enforce"
    await kube.create(NAMESPACE, None, {"metadata": {"name": "acme", "labels": {label: level}}}, manager="t")
    assert (await orgs.create(kube, "acme"))["metadata"]["labels"][label] == level


async def test_a_namespace_where_everything_is_allowed_is_no_organisation(kube: Kube) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    await kube.create(NAMESPACE, None, {"metadata": {"name": "acme", "labels": labels}}, manager="t")
    with pytest.raises(RefusedError, match="restricted"):
        await orgs.create(kube, "acme")


def test_a_key_is_shown_once_and_only_its_hash_is_kept(acme: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    run("keys", "create", "--org", "org_acme", "--user", "alice", "--scopes", "code-sessions:read")
    shown = capsys.readouterr()
    key = shown.out.strip()
    assert is_well_formed_key(key)
    (written,) = [each for (kind, _, _), each in acme.objects.items() if kind == "APIKey"]
    assert written["spec"] == {"hash": hash_api_key(key), "scopes": ["code-sessions:read"], "userId": "alice"}
    assert written["metadata"]["name"] in shown.err
    assert key not in json.dumps(written)
    run("keys", "list")
    assert key not in capsys.readouterr().out


def test_keys_are_listed_with_their_state(acme: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    key = made_key(acme, capsys, "--expires-in", "30d", "--description", "for CI")
    run("keys", "list", "--org", "acme", "-o", "json")
    (found,) = json.loads(capsys.readouterr().out)
    assert found["name"] == key["name"]
    assert (found["state"], found["userId"], found["description"]) == ("valid", "alice", "for CI")
    assert found["expiresAt"] == key["expiresAt"]
    run("keys", "revoke", key["name"], "-o", "json")
    assert json.loads(capsys.readouterr().out) == {"name": key["name"], "namespace": "acme", "state": "revoked"}
    run("keys", "list")
    assert " revoked " in capsys.readouterr().out


def test_rotating_makes_a_key_that_may_the_same_and_ends_the_old_one(
    acme: Kube, capsys: pytest.CaptureFixture[str]
) -> None:
    old = made_key(acme, capsys, "--scopes", "code-sessions:read", "--expires-in", "30d", "--description", "for CI")
    run("keys", "rotate", old["name"], "--org", "acme", "-o", "json")
    new = json.loads(capsys.readouterr().out)
    before, after = (acme.objects["APIKey", "acme", each["name"]]["spec"] for each in (old, new))
    assert before["disabled"] is True
    assert after == {**{k: v for k, v in before.items() if k != "disabled"}, "hash": hash_api_key(new["key"])}
    code, text = fails(capsys, "keys", "rotate", old["name"])
    assert code == 1
    assert "revoked" in text


def test_the_old_key_may_work_a_little_longer(acme: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    old = made_key(acme, capsys)
    run("keys", "rotate", old["name"], "--overlap", "1h", "--expires-in", "1d", "-o", "json")
    new = json.loads(capsys.readouterr().out)
    before, after = (acme.objects["APIKey", "acme", each["name"]]["spec"] for each in (old, new))
    assert "disabled" not in before
    assert before["expiresAt"] < after["expiresAt"] == new["expiresAt"]


async def test_an_overlap_does_not_make_a_key_live_longer() -> None:
    kube = LiveKube()
    key = await kube.add_key("acme", expiresAt="2026-01-01T00:10:00Z")
    old = await kube.get(API_KEY, "acme", f"csk-{key.id}")
    await keys.retire(kube, old, timedelta(hours=1), now=NOW)
    spec = kube.objects["APIKey", "acme", f"csk-{key.id}"]["spec"]
    assert spec["expiresAt"] == "2026-01-01T00:10:00Z"


@pytest.mark.parametrize("spec", [{"disabled": True}, {"expiresAt": "2025-12-31T23:59:59Z"}])
def test_a_key_that_does_not_work_has_no_successor(spec: dict[str, Any]) -> None:
    old = {"metadata": {"name": "csk-a"}, "spec": {"userId": "u", "scopes": ["code-sessions:read"], **spec}}
    with pytest.raises(RefusedError, match="create a new one"):
        keys.successor(old, new_api_key(), now=NOW)


async def test_a_name_in_two_namespaces_needs_one(kube: Kube) -> None:
    for namespace in ("a", "b"):
        await kube.create(API_KEY, namespace, {"metadata": {"name": "csk-x"}, "spec": {}}, manager="t")
    with pytest.raises(RefusedError, match="a, b"):
        await keys.revoke(kube, None, "csk-x")
    with pytest.raises(RefusedError, match="nowhere"):
        await keys.revoke(kube, None, "csk-y")
    assert await keys.revoke(kube, "b", "csk-x") == "b"


def test_generating_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    run("keys", "generate", "--user", "alice", "--namespace", "acme")
    shown = capsys.readouterr()
    body = json.loads(shown.out)
    assert body["spec"]["hash"] == hash_api_key(shown.err.splitlines()[0])
    assert body["metadata"]["namespace"] == "acme"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotFoundError("the server could not find the requested resource", status=404), "definitions"),
        (ForbiddenError('User "x" cannot list', status=403), "cannot list"),
        (UnavailableError("the API server does not answer"), "does not answer"),
    ],
)
def test_what_the_cluster_refuses_ends_it_with_1(
    kube: Kube, capsys: pytest.CaptureFixture[str], error: Exception, said: str
) -> None:
    kube.will_refuse("list", API_KEY, error)  # type: ignore[arg-type]
    code, text = fails(capsys, "keys", "list")
    assert code == 1
    assert text.startswith("error: ")
    assert said in text


def test_an_organisation_that_is_not_there_ends_it_with_1(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = fails(capsys, "keys", "create", "--org", "nosuch", "--user", "u")
    assert code == 1
    assert "codesessions org create" in text


def test_no_kubeconfig_ends_it_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nosuch"))
    code, text = fails(capsys, "org", "list")
    assert code == 1
    assert text.startswith("error: ")


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("keys",),
        ("keys", "create", "--user", "u"),
        ("keys", "create", "--org", "a", "--namespace", "b", "--user", "u"),
        ("keys", "create", "--org", "a"),
        ("keys", "create", "--org", "a", "--user", "u", "--scopes", "all"),
        ("keys", "list", "-o", "yaml"),
        ("keys", "list", "--namespace", "../x"),
        ("org", "create", "Acme"),
    ],
)
def test_words_that_are_off_end_it_with_2(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    code, text = fails(capsys, *argv)
    assert code == 2
    assert "usage: codesessions" in text


@pytest.mark.parametrize("argv", [(), ("org",), ("keys",), ("keys", "create"), ("keys", "rotate"), ("org", "create")])
def test_help_is_there_for_every_command(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main([*argv, "--help"])
    assert caught.value.code == 0
    assert "usage: codesessions" in capsys.readouterr().out


def test_a_key_has_limits_of_its_own_and_so_has_its_successor(acme: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--rate-limit", "reads=100/10s", "--rate-limit", "creates=1/60")
    limits = {"reads": {"requests": 100, "seconds": 10}, "creates": {"requests": 1, "seconds": 60}}
    old = made_key(acme, capsys, *words)
    assert acme.objects["APIKey", "acme", old["name"]]["spec"]["rateLimits"] == limits
    run("keys", "rotate", old["name"], "-o", "json")
    new = json.loads(capsys.readouterr().out)
    assert acme.objects["APIKey", "acme", new["name"]]["spec"]["rateLimits"] == limits


@pytest.mark.parametrize(
    "text", ["reads", "reads=1", "reads=0/1", "reads=1/0", "all=1/1", "reads=1/1m", "reads=9999999/1"]
)
def test_a_rate_limit_that_cannot_be_is_refused(acme: Kube, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert fails(capsys, "keys", "create", "--org", "acme", "--user", "u", "--rate-limit", text)[0] == 2
