"""Values that cannot work are refused at once, in words that tell what to set."""

from __future__ import annotations

from typing import Any

import pytest
from support.helm import URL, refusal

HOSTS = {"api": {"host": "x.example.com"}, "pty": {"host": "x.example.com"}}


def ingress(**more: Any) -> dict[str, Any]:
    return {"ingress": {"enabled": True, **HOSTS, **more}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "ptyBaseUrl is missing: set it to the URL under which clients reach the gateway"),
        (ingress(api={"host": ""}), "ingress.api.host is missing"),
        (ingress(pty={"host": ""}), "ingress.pty.host is missing"),
        (ingress(pty={"host": "x.example.com", "path": "/"}), "ingress.pty.path is / on the API's host"),
        (
            ingress(
                api={"host": "x.example.com", "tlsSecretName": "a"}, pty={"host": "x.example.com", "tlsSecretName": "b"}
            ),
            "differ, but the host is the same",
        ),
        ({**URL, "organizations": [{"name": "a"}, {"name": "a"}]}, "organizations names a twice"),
        ({**URL, "organizations": [{"name": "system"}]}, "the release's own namespace"),
        ({**URL, "api": {"serviceAccount": {"create": False}}}, "api.serviceAccount.name is missing"),
    ],
)
def test_what_no_schema_can_say(values: dict[str, Any], words: str) -> None:
    assert words in refusal(values)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"ptyBaseUrl": "pty.example.com"}, "/ptyBaseUrl"),
        ({"ptyBaseUrl": "https://pty.example.com?x=1"}, "/ptyBaseUrl"),
        ({"ptyBaseURL": "https://pty.example.com"}, "'ptyBaseURL' not allowed"),
        ({"images": {"platform": {"digest": "latest"}}}, "/images/platform/digest"),
        ({"images": {"sidecar": {"repository": "x:1"}}}, "/images/sidecar/repository"),
        ({"images": {"sidecar": {"repository": ""}}}, "/images/sidecar/repository"),
        ({"images": {"pullPolicy": "Sometimes"}}, "/images/pullPolicy"),
        ({"operator": {"replicas": -1}}, "/operator/replicas"),
        ({"gateway": {"podLabels": {"app.kubernetes.io/name": "x"}}}, "/gateway/podLabels"),
        ({"commonLabels": {"app.kubernetes.io/instance": "x"}}, "/commonLabels"),
        ({"logging": {"format": "xml"}}, "/logging/format"),
        ({"workspaces": {"storage": {"size": "big"}}}, "/workspaces/storage/size"),
        ({"workspaces": {"egress": {"allow": ["10.0.0.0"]}}}, "/workspaces/egress/allow/0"),
        ({"organizations": [{"name": "A"}]}, "/organizations/0/name"),
        ({"organizations": [{"name": "a", "id": "demo"}]}, "/organizations/0/id"),
        ({"ingress": {"api": {"host": "https://x"}}}, "/ingress/api/host"),
        ({"allowedOrigins": ["https://x/path"]}, "/allowedOrigins/0"),
        ({"masterKey": {"key": "a/b"}}, "/masterKey/key"),
        ({"networkPolicy": {"apiServerPorts": []}}, "/networkPolicy/apiServerPorts"),
        ({"api": {"podDisruptionBudget": {"maxUnavailable": "all"}}}, "/api/podDisruptionBudget/maxUnavailable"),
        ({"imagePullSecrets": ["x"]}, "/imagePullSecrets/0"),
    ],
)
def test_what_the_schema_refuses(values: dict[str, Any], where: str) -> None:
    assert where in refusal({**URL, **values})
