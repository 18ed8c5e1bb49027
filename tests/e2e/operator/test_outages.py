"""Operators that are killed, two at once, and API servers that go away: nothing is made twice, nothing fails for it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from support.controlplane import ControlPlane
from support.faultyproxy import FaultyProxy
from support.handkubelet import running
from support.kubectl import Kubectl
from support.session import until

from .conftest import ACCOUNT, HOME, Make, OperatorProcess, Start


def leading(found: OperatorProcess) -> OperatorProcess:
    until("it leads", found.leads, seconds=240)
    return found


def pods_made(plane: ControlPlane, name: str) -> int:
    calls = [
        call for call in plane.calls() if call.account == ACCOUNT and (call.verb, call.resource) == ("create", "pods")
    ]
    return sum(1 for call in calls if call.code == 201 and call.name in {name, ""})


def test_of_two_one_works_and_the_other_takes_over(start: Start, make: Make, plane: ControlPlane) -> None:
    first = leading(start())
    second = start()
    until("the second one waits", lambda: "waits" in second.words, seconds=240)
    session = make("cs-two")
    uid = session.run()
    assert first.end(signal.SIGTERM) == 0
    leading(second)
    session.says(running(is_ready=False))
    session.until_phase("Running", "TerminalNotReady")
    assert session.until_pod() == uid
    assert session.status["restarts"] == 0
    lease = plane.kubectl(HOME).get("lease", "codesessions-operator") or {}
    assert lease["spec"]["leaseTransitions"] >= 1


def test_one_that_is_killed_is_followed_by_the_next(start: Start, make: Make) -> None:
    first = leading(start())
    second = start()
    until("the second one waits", lambda: "waits" in second.words, seconds=240)
    sessions = [make(f"cs-kill{number}") for number in range(4)]
    sessions[0].until_pod()
    first.end(signal.SIGKILL)
    begun = time.monotonic()
    more = [make(f"cs-kill{number}") for number in range(4, 6)]
    leading(second)
    print(f"the other led {time.monotonic() - begun:.1f} s after the leader was killed")
    for session in [*sessions, *more]:
        session.run()
        assert session.status["restarts"] == 0


def test_one_whose_lease_is_taken_leaves(start: Start, plane: ControlPlane) -> None:
    found = leading(start())
    patch = '{"spec":{"holderIdentity":"thief"}}'
    plane.kubectl(HOME)("patch", "lease", "codesessions-operator", "--type=merge", "-p", patch)
    assert found.wait(seconds=120) == 1
    assert "thief holds the lease" in found.words
    plane.kubectl(HOME)(
        "patch", "lease", "codesessions-operator", "--type=merge", "-p", '{"spec":{"holderIdentity":""}}'
    )


def port_of(plane: ControlPlane) -> int:
    server = plane.kubectl()("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    return int(server.rpartition(":")[2])


def test_connections_that_break_lose_nothing(start: Start, make: Make, plane: ControlPlane, kubectl: Kubectl) -> None:
    with FaultyProxy(port_of(plane)) as proxy:
        found = leading(start(port=proxy.port))
        session = make("cs-broken")
        uid = session.run()
        for _ in range(3):
            proxy.drop()
            session.says(running(is_ready=False))
            session.until_phase("Running", "TerminalNotReady")
            session.says(running())
            session.until_phase("Running", "Running")
        assert found.runs
        assert session.until_pod() == uid
        assert session.status["restarts"] == 0
        found.end()


def test_an_api_server_away_for_a_while_is_waited_for(start: Start, make: Make, plane: ControlPlane) -> None:
    """Shorter than the lease: it goes on. What changed meanwhile is seen, deletions too."""
    with FaultyProxy(port_of(plane)) as proxy:
        found = leading(start(port=proxy.port))
        session, other = make("cs-away"), make("cs-deleted")
        uid = session.run()
        other.run()
        proxy.refuse()
        session.says(running(is_ready=False))
        late = make("cs-late")
        plane.kubectl(session._kubectl.namespace)("delete", "codesession", other.name)
        proxy.forward()
        session.until_phase("Running", "TerminalNotReady")
        late.until_pod()
        assert session.until_pod() == uid
        assert session.status["restarts"] == 0
        assert found.runs
        found.end()


def test_an_api_server_that_is_silent_ends_leadership_in_time(
    start: Start, plane: ControlPlane, tmp_path: Path
) -> None:
    with FaultyProxy(port_of(plane)) as proxy:
        first = leading(start(port=proxy.port))
        proxy.swallow()
        assert first.wait(seconds=120) == 1
        second = leading(start())
        second.end()


def test_it_idles_cheaply(start: Start, make: Make) -> None:
    found = leading(start())
    for number in range(5):
        make(f"cs-idle{number}").run()
    stat = Path(f"/proc/{found.pid}/stat")

    def ticks() -> int:
        words = stat.read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    seen: list[float] = []

    def idles() -> bool:
        """In ten seconds; what the last sessions have left to do may be in the first ones."""
        before = ticks()
        time.sleep(10)
        seen.append((ticks() - before) / 100 / 10)
        return seen[-1] < 0.01

    until(lambda: f"it uses less than 1% of a CPU; it used {seen}", idles)
    lines = Path(f"/proc/{found.pid}/status").read_text().splitlines()
    resident = int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
    print(f"idle: {seen[-1]:.2%} CPU, {resident:.0f} MiB")
    assert resident < 100
