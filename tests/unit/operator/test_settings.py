from __future__ import annotations

from pathlib import Path

import pytest
from codesessions_operator.settings import SettingsError, described, read_settings

NEEDED = {"CODESESSIONS_WORKSPACE_IMAGE": "w:1", "CODESESSIONS_SIDECAR_IMAGE": "s:1"}


def test_what_is_absent_has_a_default() -> None:
    settings = read_settings(NEEDED)
    assert (settings.workspace_image, settings.sidecar_image) == ("w:1", "s:1")
    assert settings.storage_size == "1Gi"
    assert settings.address == ("0.0.0.0", 8082)  # noqa: S104


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_the_images_must_be_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} must be set"):
        read_settings({name: value for name, value in NEEDED.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EGRESS", "10.0.0.0/8,everywhere"),
        ("EGRESS_EXCEPT", "10.0.0.1/8"),
        ("STORAGE_SIZE", "big"),
        ("WORKSPACE_MEMORY_LIMIT", "1GB"),
        ("IMAGE_PULL_POLICY", "Sometimes"),
        ("LEADER_ELECTION", "yes"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "chatty"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^CODESESSIONS_{name} must be"):
        read_settings({**NEEDED, f"CODESESSIONS_{name}": value})


@pytest.mark.parametrize(("name", "value"), [("EGRESS", ""), ("LOG_LEVEL", "debug"), ("LEADER_ELECTION", "false")])
def test_what_can_be(name: str, value: str) -> None:
    assert getattr(read_settings({**NEEDED, f"CODESESSIONS_{name}": value}), name.lower()) == value


def test_the_master_key_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    settings = read_settings({**NEEDED, "CODESESSIONS_MASTER_KEY_FILE": str(path)})
    with pytest.raises(SettingsError, match="MASTER_KEY_FILE"):
        _ = settings.master_key
    path.write_bytes(b"short")
    with pytest.raises(SettingsError, match="at least 32 bytes, it has 5"):
        _ = settings.master_key
    path.write_bytes(b"k" * 32 + b"\n")
    assert settings.master_key == b"k" * 32


@pytest.mark.parametrize("listen", ["8082x", "host", "host:"])
def test_an_address_has_a_port(listen: str) -> None:
    with pytest.raises(SettingsError, match="HOST:PORT"):
        _ = read_settings({**NEEDED, "CODESESSIONS_LISTEN": listen}).address


def test_help_lists_every_setting_with_its_default() -> None:
    text = described()
    assert "CODESESSIONS_STORAGE_SIZE=1Gi" in text
    assert "json|text" in text
