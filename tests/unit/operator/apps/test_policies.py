from __future__ import annotations

from typing import Any

import pytest
from codesessions_operator.apps.objects import labels
from codesessions_operator.apps.policies import app_policies
from codesessions_operator.apps.settings import AppSettings, read_app_settings
from codesessions_operator.builds.engine import BuildRequest, BuildSettings
from codesessions_operator.builds.engines.layers import Layers
from codesessions_operator.builds.pod import build_pod
from codesessions_operator.settings import SettingsError
from support.operator import SETTINGS


def policies(registry: tuple[str, int] | None = ("registry.example.com", 443), **apps: str) -> Any:
    serving, building, _ = app_policies(AppSettings(**apps), registry)("demo", SETTINGS, ["10.0.0.1"])
    return serving, building


def test_they_select_the_pods_they_are_for_and_no_others() -> None:
    serving, building = (each["spec"]["podSelector"]["matchLabels"].items() for each in policies())
    settings = BuildSettings(builder_image="b:1", runtime_images=(("runtime", "r.io/r:1"),), registry_url="http://r")
    request = BuildRequest("demo", "bld-a", "app-a", "sha256:0", "demo/sources", "demo/app-a")
    build = build_pod(Layers(), request, settings, "uid")["metadata"]["labels"].items()
    app = labels("app-a").items()
    assert (serving <= app, building <= build, serving <= build, building <= app) == (True, True, False, False)


def test_applications_are_reached_by_everybody_and_builds_by_nobody() -> None:
    serving, building = policies()
    assert serving["spec"]["ingress"] == [{}]
    assert building["spec"]["ingress"] == []
    assert serving["spec"]["policyTypes"] == building["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_neither_reaches_the_api_server_or_metadata() -> None:
    for policy in policies():
        blocks = [each["ipBlock"] for rule in policy["spec"]["egress"] for each in rule["to"] if "ipBlock" in each]
        (wide,) = [block for block in blocks if block["cidr"] == "0.0.0.0/0"]
        assert {"10.0.0.1/32", "169.254.0.0/16", "10.0.0.0/8"} <= set(wide["except"])


def test_builds_reach_the_registry_even_where_they_reach_nothing_else() -> None:
    _, building = policies(("10.88.0.1", 5000), build_egress="")
    dns, registry = building["spec"]["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    assert registry == {"to": [{"ipBlock": {"cidr": "10.88.0.1/32"}}], "ports": [{"protocol": "TCP", "port": 5000}]}
    _, named = policies(("registry.system.svc", 5000), build_egress="")
    assert named["spec"]["egress"][1]["ports"] == [{"protocol": "TCP", "port": 5000}]
    blocks = [each["ipBlock"] for each in named["spec"]["egress"][1]["to"] if "ipBlock" in each]
    assert {"cidr": "10.0.0.0/8", "except": ["10.0.0.1/32"]} in blocks  # never the API server, whatever the port
    serving, _ = policies(("10.88.0.1", 5000), apps_egress="")
    assert len(serving["spec"]["egress"]) == 1


def test_who_may_reach_applications_can_be_named() -> None:
    serving, building = policies(apps_ingress_from='[{"namespaceSelector": {}}]')
    assert serving["spec"]["ingress"] == [{"from": [{"namespaceSelector": {}}]}]
    assert building["spec"]["ingress"] == []


@pytest.mark.parametrize("value", ["{}", "[1]", "x"])
def test_peers_must_be_a_list_of_objects(value: str) -> None:
    with pytest.raises(SettingsError, match="APPS_INGRESS_FROM must be a JSON list"):
        read_app_settings({"CODESESSIONS_APPS_INGRESS_FROM": value})
