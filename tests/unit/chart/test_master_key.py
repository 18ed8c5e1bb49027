"""The key that everything hangs on."""

from __future__ import annotations

import base64
from pathlib import Path

from codesessions_operator.settings import read_settings
from support.helm import render


def test_one_is_made_that_outlives_the_release(tmp_path: Path) -> None:
    (secret,) = render().all("Secret")
    assert secret["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert secret["immutable"] is True
    file = tmp_path / "master-key"
    file.write_bytes(base64.b64decode(secret["data"]["master-key"]))
    environment = {**render().environment("operator"), "CODESESSIONS_MASTER_KEY_FILE": str(file)}
    assert len(read_settings(environment).master_key) >= 32


def test_no_two_are_alike() -> None:
    keys = {render(release=release).all("Secret")[0]["data"]["master-key"] for release in ("a", "b")}
    assert len(keys) == 2


def test_an_existing_one_is_used() -> None:
    rendered = render({"masterKey": {"existingSecret": "mine", "key": "k"}})
    assert rendered.all("Secret") == []
    for component in ("operator", "api", "gateway"):
        spec = rendered.pod(component)["spec"]
        (volume,) = (each for each in spec["volumes"] if each["name"] == "master-key")
        assert volume["secret"]["secretName"] == "mine"
        assert volume["secret"]["items"] == [{"key": "k", "path": "master-key"}]
        (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "master-key")
        assert f"{mount['mountPath']}/master-key" == rendered.environment(component)["CODESESSIONS_MASTER_KEY_FILE"]
