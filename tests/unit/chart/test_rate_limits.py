"""How often keys and addresses may call, from the values to the programs' settings."""

from __future__ import annotations

from typing import Any

from codesessions_api.settings import ApiSettings, GatewaySettings
from support.helm import render

LIMITS = ("rate_reads", "rate_writes", "rate_creates", "rate_unauthenticated")


def environment(component: str, values: dict[str, Any]) -> dict[str, str]:
    (found,) = [
        each
        for each in render(values).all("Deployment")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def test_the_charts_limits_are_the_programs() -> None:
    found = environment("api", {})
    for name in LIMITS:
        assert found[f"CODESESSIONS_{name.upper()}"] == getattr(ApiSettings(), name)
    assert environment("gateway", {})["CODESESSIONS_RATE_UNAUTHENTICATED"] == GatewaySettings().rate_unauthenticated


def test_they_can_be_changed_and_taken_away() -> None:
    values = {
        "rateLimits": {
            "reads": {"requests": 1000000, "seconds": 3600},
            "creates": {"requests": 0},
            "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
        }
    }
    found = environment("api", values)
    assert found["CODESESSIONS_RATE_READS"] == "1000000/3600"
    assert found["CODESESSIONS_RATE_CREATES"] == "0"
    settings = ApiSettings(rate_creates="0", trusted_proxies=found["CODESESSIONS_TRUSTED_PROXIES"])
    assert "creates" not in settings.rate_limits
    assert len(settings.proxies) == 2
