"""Namespaces for organisations."""

from __future__ import annotations

from codesessions_crds.names import ORGANIZATION_LABEL
from support.helm import render


def test_they_are_labelled_confined_and_kept() -> None:
    values = {"organizations": [{"name": "demo"}, {"name": "other", "id": "org_42"}]}
    demo, other = render(values).all("Namespace")
    assert demo["metadata"]["labels"][ORGANIZATION_LABEL] == "org_demo"
    assert demo["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert demo["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert other["metadata"]["labels"][ORGANIZATION_LABEL] == "org_42"


def test_labels_go_before_the_defaults_but_not_before_the_id() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "baseline", ORGANIZATION_LABEL: "org_stolen", "cost": "42"}
    values = {"organizations": [{"name": "demo", "labels": labels, "annotations": {"a": "b"}}]}
    (demo,) = render(values).all("Namespace")
    assert demo["metadata"]["labels"][ORGANIZATION_LABEL] == "org_demo"
    assert demo["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert demo["metadata"]["labels"]["cost"] == "42"
    assert demo["metadata"]["annotations"]["a"] == "b"


def test_an_organisation_has_a_quota_and_what_containers_ask_for_by_default() -> None:
    quota = {"count/codesessions.codesessions.dev": "20", "requests.cpu": "8"}
    found = render({"organizations": [{"name": "demo", "quota": quota}, {"name": "other", "quota": {"pods": "9"}}]})
    demo, other = found.all("ResourceQuota")
    assert (demo["metadata"]["namespace"], demo["spec"]["hard"]) == ("demo", quota)
    assert (other["metadata"]["namespace"], other["spec"]["hard"]) == ("other", {"pods": "9"})
    (limits,) = found.all("LimitRange")
    assert limits["metadata"]["namespace"] == "demo"
    assert set(limits["spec"]["limits"][0]["defaultRequest"]) == {"cpu", "memory"}
