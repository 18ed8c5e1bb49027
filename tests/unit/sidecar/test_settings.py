from __future__ import annotations

import re
from pathlib import Path

import pytest
from codesessions_sidecar.settings import HELP, SettingsError, read_settings


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "key").write_text("ab" * 32 + "\n")
    return {
        "CODESESSIONS_SESSION_ID": "cs_a",
        "CODESESSIONS_SESSION_UID": "u-1",
        "CODESESSIONS_KEY_FILE": str(tmp_path / "key"),
    }


def test_the_defaults_are_those_of_the_pod(environment: dict[str, str]) -> None:
    settings = read_settings(environment)
    assert settings.key == b"\xab" * 32
    assert (settings.host, settings.port) == ("0.0.0.0", 7681)  # noqa: S104
    assert (settings.run_dir, settings.data_dir) == (Path("/run/codesession"), Path("/var/lib/codesession"))
    assert (settings.spool_bytes, settings.linger_seconds) == (32 << 20, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CODESESSIONS_SESSION_ID", ""),
        ("CODESESSIONS_SESSION_UID", ""),
        ("CODESESSIONS_PORT", "65536"),
        ("CODESESSIONS_PORT", "-1"),
        ("CODESESSIONS_PORT", "²"),
        ("CODESESSIONS_SPOOL_BYTES", "1"),
        ("CODESESSIONS_LINGER_SECONDS", "soon"),
        ("CODESESSIONS_KEY_FILE", "/nowhere/key"),
    ],
)
def test_what_cannot_be_is_named(environment: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({**environment, name: value})


@pytest.mark.parametrize("text", ["", "ab", "not hexadecimal", "ab" * 31])
def test_a_bad_key_is_refused_and_not_shown(environment: dict[str, str], text: str) -> None:
    Path(environment["CODESESSIONS_KEY_FILE"]).write_text(text)
    with pytest.raises(SettingsError, match="KEY_FILE") as refused:
        read_settings(environment)
    assert not text or text not in str(refused.value)


def test_the_help_lists_every_setting() -> None:
    package = Path(read_settings.__code__.co_filename).parent
    code = "".join(path.read_text().replace(HELP, "") for path in package.glob("*.py"))
    names = set(re.findall(r"\"(CODESESSIONS_[A-Z_]+)\"", code))
    assert len(names) > 5
    assert names <= set(re.findall(r"^  (CODESESSIONS_[A-Z_]+)  ", HELP, re.MULTILINE))
