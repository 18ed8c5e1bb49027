"""What is reachable from outside."""

from __future__ import annotations

from typing import Any

import pytest
from support.helm import Object, Rendered, render

API, PTY = "api.example.com", "pty.example.com"


def rendered(*, api: Object | None = None, pty: Object | None = None, **more: Any) -> Rendered:
    hosts = {"api": {"host": API, **(api or {})}, "pty": {"host": PTY, **(pty or {})}}
    return render({"ptyBaseUrl": "", "ingress": {"enabled": True, **hosts, **more}})


def routes(found: Rendered) -> set[tuple[str, str, str, str]]:
    """Host, path, type and Service."""
    return {
        (rule["host"], path["path"], path["pathType"], path["backend"]["service"]["name"])
        for ingress in found.all("Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }


def test_none_unless_asked_for() -> None:
    assert render().all("Ingress") == []


def test_the_public_paths_and_no_others() -> None:
    assert routes(rendered()) == {
        (API, "/api", "Prefix", "codesessions-api"),
        (API, "/healthz", "Exact", "codesessions-api"),
        (API, "/readyz", "Exact", "codesessions-api"),
        (API, "/docs", "Prefix", "codesessions-api"),
        (API, "/openapi.json", "Exact", "codesessions-api"),
        (PTY, "/cs_", "ImplementationSpecific", "codesessions-gateway"),
    }


def test_the_documents_can_be_left_out() -> None:
    assert not {path for _, path, _, _ in routes(rendered(api={"docs": False}))} & {"/docs", "/openapi.json"}


def test_metrics_are_never_public() -> None:
    for _, path, kind, _ in routes(rendered()):
        assert not (path == "/metrics" if kind == "Exact" else "/metrics".startswith(path))


def test_the_address_of_terminals_is_that_of_the_ingress() -> None:
    assert rendered().environment("operator")["CODESESSIONS_PTY_BASE_URL"] == f"https://{PTY}"
    assert rendered(tls={"enabled": False}).environment("operator")["CODESESSIONS_PTY_BASE_URL"] == f"http://{PTY}"
    explicit = render(
        {"ptyBaseUrl": "https://x:8443", "ingress": {"enabled": True, "api": {"host": API}, "pty": {"host": PTY}}}
    )
    assert explicit.environment("operator")["CODESESSIONS_PTY_BASE_URL"] == "https://x:8443"


@pytest.mark.parametrize(
    ("api", "pty", "secrets"),
    [
        ({}, {}, ["codesessions-api-tls", "codesessions-pty-tls"]),
        ({"tlsSecretName": "a"}, {"tlsSecretName": "b"}, ["a", "b"]),
        ({"tlsSecretName": "a"}, {"host": API}, ["a", "a"]),
        ({}, {"host": API}, ["codesessions-api-tls", "codesessions-api-tls"]),
    ],
)
def test_certificates(api: Object, pty: Object, secrets: list[str]) -> None:
    found = rendered(api=api, pty=pty)
    ingresses = [found.one("Ingress", f"codesessions-{name}") for name in ("api", "pty")]
    assert [each["spec"]["tls"][0]["secretName"] for each in ingresses] == secrets
    assert [each["spec"]["tls"][0]["hosts"] for each in ingresses] == [[API], [pty.get("host", PTY)]]


def test_without_tls() -> None:
    assert all("tls" not in each["spec"] for each in rendered(tls={"enabled": False}).all("Ingress"))


def test_class_and_annotations() -> None:
    found = rendered(
        className="contour",
        annotations={"cert-manager.io/cluster-issuer": "x", "shared": "all"},
        pty={"annotations": {"projectcontour.io/websocket-routes": "/cs_", "shared": "own"}},
    )
    api, pty = (found.one("Ingress", f"codesessions-{name}") for name in ("api", "pty"))
    assert api["spec"]["ingressClassName"] == pty["spec"]["ingressClassName"] == "contour"
    assert api["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "x", "shared": "all"}
    assert pty["metadata"]["annotations"] == {
        "cert-manager.io/cluster-issuer": "x",
        "projectcontour.io/websocket-routes": "/cs_",
        "shared": "own",
    }
    assert "ingressClassName" not in rendered().all("Ingress")[0]["spec"]
