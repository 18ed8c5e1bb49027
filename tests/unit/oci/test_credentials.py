import base64
import json
from pathlib import Path
from typing import Any

import pytest
from codesessions_oci.credentials import Credentials, find, load
from codesessions_oci.errors import RegistryError


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("auths", "host", "prefix", "user"),
    [
        ({"r.example.com": auth("u", "p:with:colons")}, "r.example.com", "", "u"),
        ({"https://r.example.com/v1/": auth("u", "p")}, "r.example.com", "", "u"),
        ({"r.example.com:5000": auth("u", "p")}, "r.example.com", "", None),
        ({"r.example.com": auth("u", "p"), "r.example.com/team": auth("t", "p")}, "r.example.com", "team/x", "t"),
        ({"r.example.com": auth("u", "p"), "r.example.com/team": auth("t", "p")}, "r.example.com", "teams", "u"),
        ({"r.example.com": {"username": "n", "password": "p"}}, "r.example.com", "a", "n"),
        ({"r.example.com": {"identitytoken": "t"}}, "r.example.com", "a", ""),
        ({"r.example.com": {}}, "r.example.com", "", None),
        ({}, "r.example.com", "", None),
    ],
)
def test_the_entry_that_fits_best_is_taken(auths: dict[str, Any], host: str, prefix: str, user: str | None) -> None:
    found = find({"auths": auths}, host, prefix)
    assert (found.user if found else None) == user


def test_a_password_may_have_colons() -> None:
    assert find({"auths": {"r": auth("u", "a:b")}}, "r") == Credentials("u", "a:b")
    assert Credentials("u", "p").basic == "Basic dTpw"


def test_a_file_that_cannot_be_read_is_said_without_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    for text in ("secret-thing", json.dumps({"auths": {"r": {"auth": "!secret-thing"}}}), '["secret-thing"]'):
        file.write_text(text)
        with pytest.raises(RegistryError) as caught:
            load(file, "r")
        assert "secret-thing" not in str(caught.value)
        assert "config.json" in str(caught.value)
