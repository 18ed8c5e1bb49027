"""The way out of the cluster: to the package indexes and nowhere else."""

from __future__ import annotations

import json

from codesessions_dev.layout import Layout
from codesessions_dev.local import egress

FOUND = {
    "PIP_INDEX_URL": "https://index.example/simple",
    "PIP_EXTRA_INDEX_URL": "https://files.example https://more.example:8443/simple",
    "npm_config_registry": "http://npm.example/",
}


def test_hosts_are_those_of_the_indexes() -> None:
    assert egress.hosts(FOUND) == [
        ("files.example", 443),
        ("index.example", 443),
        ("more.example", 8443),
        ("npm.example", 80),
    ]


def test_builds_are_told_of_the_proxy_and_the_indexes() -> None:
    told = egress.variables(Layout(), FOUND)
    assert told["HTTPS_PROXY"] == told["https_proxy"] == "http://10.88.0.1:3128"
    assert told["PIP_INDEX_URL"] == "https://index.example/simple"
    assert told["PIP_EXTRA_INDEX_URL"] == "https://more.example:8443/simple", "a host of files is no index"
    assert "10.88.0.1" in told["NO_PROXY"]
    assert egress.variables(Layout(), {}) == {}


def test_the_proxy_knows_these_places_alone() -> None:
    document = json.loads(egress.config(Layout(), egress.hosts(FOUND)))
    listener = document["static_resources"]["listeners"][0]
    assert listener["address"]["socket_address"]["network_namespace_filepath"] == str(Layout().netns)
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    domains = [domain for each in manager["route_config"]["virtual_hosts"] for domain in each["domains"]]
    assert domains == ["files.example:443", "index.example:443", "more.example:8443", "npm.example:80"]
    clusters = [each["name"] for each in document["static_resources"]["clusters"]]
    assert clusters == domains
