"""Everything is replaced while clients work: no request fails, nothing typed or printed is lost."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time

import pytest
from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from codesessions_dev.say import DevError
from support.faults import scaled
from support.kubectl import Kubectl
from support.session import Session, Sessions, until
from support.typist import Typist

from .conftest import COMPONENTS, Upgrade

ROLLS = scaled(1, 5)


class Callers:
    """Threads that call the REST API without end and note what is not as it should be."""

    def __init__(self, client: Client, session: Session) -> None:
        self._client, self._session = client, session
        self.failures: list[str] = []
        self.done = self.typed = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=work) for work in (self._read, self._read, self._list, self._poll, self._type)
        ]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(120)

    def _call(self, method: str, path: str, body: object = None, *, prefer: str | None = None) -> None:
        try:
            status, answer = self._client.call(method, path, body, prefer=prefer)
        except DevError as error:
            self.failures.append(f"{method} {path}: {error}")
            return
        if status != 200:
            self.failures.append(f"{method} {path}: {status} {answer}")
        self.done += 1

    def _read(self) -> None:
        while not self._stop.wait(0.02):
            self._call("GET", self._session.path)

    def _list(self) -> None:
        while not self._stop.wait(0.05):
            self._call("GET", BASE)

    def _poll(self) -> None:
        while not self._stop.wait(0.02):
            self._call("GET", f"{self._session.path}/output?afterSeq=1000000", prefer="wait=3")

    def _type(self) -> None:
        for number in itertools.count(1):
            if self._stop.wait(0.02):
                return
            body = {"text": f"<b{number}>", "inputSeq": number, "writer": "b"}
            self._call("POST", f"{self._session.path}/input", body)
            self.typed = number


def uids(system: Kubectl) -> dict[str, set[str]]:
    """The pods of each program that are not on their way out."""
    return {
        name: {
            pod["metadata"]["uid"]
            for pod in system.list("pods", f"-l=app.kubernetes.io/name=codesessions,app.kubernetes.io/component={name}")
            if "deletionTimestamp" not in pod["metadata"]
        }
        for name in COMPONENTS
    }


@pytest.mark.timeout(900)
async def test_an_upgrade_of_everything_under_load(
    access: Access, client: Client, system: Kubectl, sessions: Sessions, upgrade: Upgrade
) -> None:
    await asyncio.to_thread(upgrade)
    session = await asyncio.to_thread(sessions.create, "rolling upgrade")
    await asyncio.to_thread(session.type, "stty raw -echo; printf 'rea''dy<>'; exec cat\n")
    await asyncio.to_thread(session.read_until, "ready<>")
    endpoint = (await asyncio.to_thread(session.get))["ptyEndpoint"]
    typist, callers = Typist(access, endpoint), Callers(client, session)
    typing = asyncio.create_task(typist.run(session.seen))
    callers.start()
    try:
        begun = time.monotonic()
        for _ in range(ROLLS):
            before, typed, posted = await asyncio.to_thread(uids, system), typist.typed, callers.typed
            await asyncio.to_thread(upgrade)

            def replaced(before: dict[str, set[str]] = before) -> bool:
                after = uids(system)
                return all(len(after[name]) == 2 and not after[name] & before[name] for name in COMPONENTS)

            await asyncio.to_thread(until, "all pods are others", replaced)

            def goes_on(typed: int = typed, posted: int = posted) -> bool:
                return typing.done() or (typist.typed >= typed + 20 and callers.typed >= posted + 20)

            await asyncio.to_thread(until, "typing goes on", goes_on, seconds=240)
        cuts, seconds = typist.cuts, time.monotonic() - begun
    finally:
        await asyncio.to_thread(callers.stop)
        typist.stop = True
    async with asyncio.timeout(120):
        await typing
    print(f"{ROLLS} upgrades in {seconds:.0f} s: {callers.done} requests, {typist.typed} keys, {cuts} reconnections")
    assert callers.failures == []
    shown = await asyncio.to_thread(session.run_out, f"<b{callers.typed}>", f"<a{typist.typed}>")
    pieces = shown.removeprefix("<").removesuffix(">").split("><")
    assert [each for each in pieces if each[0] == "a"] == [f"a{number}" for number in range(1, typist.typed + 1)]
    assert [each for each in pieces if each[0] == "b"] == [f"b{number}" for number in range(1, callers.typed + 1)]
    assert session.resource()["status"].get("restarts", 0) == 0


@pytest.mark.timeout(900)
def test_a_killed_leader_is_followed_by_the_other(
    system: Kubectl, kubectl: Kubectl, sessions: Sessions, upgrade: Upgrade
) -> None:
    upgrade()

    def holder() -> str:
        lease = system.get("lease", "codesessions-operator") or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "").rpartition("_")[0]

    pods = "-l=app.kubernetes.io/name=codesessions,app.kubernetes.io/component=operator"
    alive = lambda: {  # noqa: E731
        pod["metadata"]["name"] for pod in system.list("pods", pods) if "deletionTimestamp" not in pod["metadata"]
    }
    first = until("a running operator leads", lambda: next(iter({holder()} & alive()), ""), seconds=240)
    system("delete", "pod", first, "--grace-period=0", "--force", "--wait=false")
    begun = time.monotonic()
    second = until("the other leads", lambda: next(iter(({holder()} & alive()) - {first}), ""), seconds=240)
    print(f"{second} led {time.monotonic() - begun:.1f} s after the leader was deleted without a word")
    session = sessions.create("a new leader")
    assert session.run("echo wo''rks") == "works"
    assert kubectl.get("pod", session.pod) is not None
