from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from codesessions_api import main, settings
from codesessions_api.gateway import main as gateway
from codesessions_api.settings import ApiSettings, GatewaySettings, SettingsError, read_settings
from support.restapi import ONE, Rest, until


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    key = tmp_path / "key"
    key.write_bytes(b" " + b"k" * 32 + b"\n")
    return {"CODESESSIONS_MASTER_KEY_FILE": str(key)}


def test_settings_have_defaults(environment: dict[str, str]) -> None:
    found = read_settings(ApiSettings, environment)
    assert (found.address, found.master_key, found.request_limit) == (("0.0.0.0", 8080), b"k" * 32, 4000)  # noqa: S104
    assert read_settings(GatewaySettings, environment).address == ("0.0.0.0", 8081)  # noqa: S104


def test_settings_are_read(environment: dict[str, str]) -> None:
    environment |= {"CODESESSIONS_LISTEN": "[::1]:9", "CODESESSIONS_ALLOWED_ORIGINS": "https://A.example/, *,"}
    found = read_settings(GatewaySettings, environment)
    assert found.address == ("::1", 9)
    assert found.origins == {"https://a.example", "*"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "8080x"),
        ("LISTEN", ":70000"),
        ("LISTEN", "localhost"),
        ("MASTER_KEY_FILE", "/nonexistent"),
        ("MASTER_KEY_FILE", "/dev/null"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("MAX_CONNECTIONS", "0"),
        ("MAX_CONNECTIONS", "many"),
        ("DRAIN_SECONDS", "-1"),
    ],
)
def test_settings_that_cannot_be_are_named(environment: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"CODESESSIONS_{name}"):
        read_settings(GatewaySettings, environment | {f"CODESESSIONS_{name}": value})


@pytest.mark.parametrize("program", [main, gateway])
def test_settings_that_cannot_be_end_a_program_with_2(
    program: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["program"])
    monkeypatch.setenv("CODESESSIONS_MASTER_KEY_FILE", "/nonexistent")
    with pytest.raises(SystemExit) as caught:
        program.main()  # type: ignore[attr-defined]
    assert caught.value.code == 2
    assert "CODESESSIONS_MASTER_KEY_FILE" in capsys.readouterr().err


@pytest.mark.parametrize(("program", "kind"), [(main, ApiSettings), (gateway, GatewaySettings)])
def test_help_lists_every_setting(
    program: object,
    kind: type[settings.Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["program", "--help"])
    with pytest.raises(SystemExit) as caught:
        program.main()  # type: ignore[attr-defined]
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in kind.__dataclass_fields__:
        assert f"CODESESSIONS_{name.upper()}" in text


async def test_a_signal_to_stop_answers_what_is_held_and_then_closes(rest: Rest) -> None:
    await rest.kube.add_session(phase="Creating")
    waiting = asyncio.create_task(rest.call("POST", f"{ONE}/input", {"text": "x"}, Prefer="wait=30"))
    await until("it is held", lambda: rest.application.metrics.held._value.get() == 1)
    rest.server.handle_exit(signal.SIGTERM, None)
    await asyncio.wait_for(rest.server.shutdown(), 60)
    answer = await waiting
    assert (answer.status, answer.code) == (409, "session_not_running")
    assert answer.headers["connection"] == "close"
    with pytest.raises(ConnectionRefusedError):
        await rest.raw(b"")
