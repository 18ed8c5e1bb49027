"""What the chart tells its bundled registry about users, told to a real one."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest
from codesessions_oci.errors import RefusedError
from codesessions_oci.registry import Registry
from support.helm import render
from support.registry import USER, RealRegistry

VALUES = {
    "registry": {"existingSecret": "login", "bundled": {"enabled": True, "htpasswdSecret": "users"}},
    "build": {"credentialsSecret": "login"},
    "apps": {"imagePullSecrets": [{"name": "pull"}]},
}


def status(real: RealRegistry, path: str) -> int:
    connection = http.client.HTTPConnection(real.host, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


async def test_who_names_no_user_is_shut_out_and_it_is_ready_nevertheless(own: RealRegistry, tmp_path: Path) -> None:
    rendered = render(VALUES)
    config = json.loads(rendered.one("ConfigMap", "codesessions-registry-config")["data"]["config.json"])
    (pod,) = (each for each in rendered.all("Deployment") if each["metadata"]["name"] == "codesessions-registry")
    probe = pod["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"]
    own.with_password()
    config["auth"]["htpasswd"]["path"] = str(tmp_path / "htpasswd")
    own.auth = config["auth"]
    own.start()

    assert status(own, probe) == 200
    async with Registry(own.settings()) as stranger:
        for call in (stranger.tags("a/b"), stranger.push_bytes("a/b", b"x"), stranger.repositories()):
            with pytest.raises(RefusedError) as caught:
                await call
            assert caught.value.status == 401
    async with Registry(own.settings(user=USER)) as known:
        found = await known.push_bytes("a/b", b"x")
        assert await known.has_blob("a/b", found.digest) is not None
    own.stop()
    own.collect()
