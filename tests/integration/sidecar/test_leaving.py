"""How long the sidecar stays when it is told to stop, and that a transcript can be served without a shell."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.sidecar import Rig, ticket, until

ARCHIVE = ticket(scope=["read", "archive"])
Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    def begin(**environment: str) -> Rig:
        found = Rig(tmp_path, **environment)
        request.addfinalizer(found.stop)
        found.start_sidecar()
        return found

    return begin


def tell(rig: Rig) -> None:
    """As the kubelet does when every other container has ended."""
    assert rig.sidecar is not None
    rig.sidecar.send_signal(signal.SIGTERM)


def leaves(rig: Rig) -> None:
    """Wait for its end, which comes long before the minute for which it would stay."""
    assert rig.sidecar is not None
    assert rig.sidecar.wait(30) == 0


def stays(rig: Rig, *, seconds: float = 1) -> bool:
    assert rig.sidecar is not None
    try:
        rig.sidecar.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def test_a_shell_that_was_told_to_end_is_not_waited_after(make: Make) -> None:
    rig = make(CODESESSIONS_LINGER_SECONDS="60")
    rig.start_launcher("/bin/sh")
    until("the shell runs", lambda: rig.page(0, wait=1)["chunks"])
    assert rig.launcher is not None
    rig.launcher.send_signal(signal.SIGTERM)
    rig.until_exit()
    tell(rig)
    leaves(rig)


def test_one_that_is_held_stays_until_it_is_released(make: Make) -> None:
    rig = make(CODESESSIONS_LINGER_SECONDS="60")
    rig.start_launcher("/bin/sh")
    until("the shell runs", lambda: rig.page(0, wait=1)["chunks"])
    assert rig.call("POST", "/v1/hold", token=ARCHIVE)[0] == 204
    assert rig.launcher is not None
    rig.launcher.send_signal(signal.SIGTERM)
    rig.until_exit()
    tell(rig)
    assert stays(rig)
    assert rig.call("GET", "/v1/transcript", token=ARCHIVE)[0] == 200
    assert rig.call("POST", "/v1/release", token=ARCHIVE)[0] == 204
    leaves(rig)


def test_one_whose_shell_ended_by_itself_stays_until_it_is_released(make: Make) -> None:
    rig = make(CODESESSIONS_LINGER_SECONDS="60")
    rig.start_launcher("/bin/sh", "-c", "echo bye; exit 7")
    rig.until_exit()
    tell(rig)
    assert stays(rig)
    assert rig.call("POST", "/v1/release", token=ARCHIVE)[0] == 204
    leaves(rig)


def test_it_leaves_after_its_time_and_at_a_second_signal(make: Make) -> None:
    for seconds, again in (("1", False), ("60", True)):
        rig = make(CODESESSIONS_LINGER_SECONDS=seconds)
        assert rig.call("POST", "/v1/hold", token=ARCHIVE)[0] == 204
        tell(rig)
        if again:
            assert stays(rig, seconds=0.5)
            tell(rig)
        leaves(rig)


@pytest.mark.parametrize("path", ["/v1/hold", "/v1/release"])
def test_a_persons_ticket_is_not_enough(path: str, make: Make) -> None:
    status, problem = make().call("POST", path)
    assert (status, problem["code"]) == (403, "missing_scope")


def test_a_transcript_is_served_without_a_shell_and_its_end_is_known(make: Make) -> None:
    rig = make()
    rig.start_launcher("/bin/sh", "-c", "echo what was said; exit 7")
    before = rig.until_exit()
    rig.stop()
    (rig.run_dir / "instance").unlink()  # another pod
    reader = make(CODESESSIONS_ARCHIVE="true")
    assert reader.page(0) == before
    _, answer = reader.call("GET", "/v1/transcript", token=ARCHIVE)
    assert "what was said" in answer["text"]
    assert '"exit":{"code":7,"signal":null}' in answer["text"]
    tell(reader)
    leaves(reader)
