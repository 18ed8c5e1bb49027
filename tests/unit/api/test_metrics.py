from __future__ import annotations

import re

from support.restapi import BASE, ONE, Rest


async def numbers(rest: Rest, name: str) -> dict[str, float]:
    """Values of a metric by labels."""
    text = (await rest.call("GET", "/metrics", check=False)).text.decode()
    return {labels: float(value) for labels, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)}


async def test_requests_are_counted_by_template_and_status(running: Rest) -> None:
    await running.call("GET", ONE)
    await running.call("HEAD", ONE)
    await running.call("GET", f"{BASE}/cs_other")
    await running.call("GET", "/nothing/at/all", check=False)
    await running.call("PROPFIND", BASE, check=False)
    found = await numbers(running, "codesessions_api_requests_total")
    template = f'route="{BASE}/{{id}}"'
    assert found[f'method="GET",{template},status="200"'] == 1
    assert found[f'method="HEAD",{template},status="200"'] == 1
    assert found[f'method="GET",{template},status="404"'] == 1
    assert found['method="GET",route="none",status="404"'] == 1
    assert not any("cs_" in labels or "nothing" in labels or "PROPFIND" in labels for labels in found)


async def test_the_caches_age_is_shown(running: Rest) -> None:
    found = await numbers(running, "codesessions_api_cache_stale_seconds")
    assert set(found) == {f'kind="{kind}"' for kind in ("codesessions", "apikeys", "namespaces")}
    assert set(found.values()) == {0.0}
