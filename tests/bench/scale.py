"""Thousands of sessions on simulated nodes: what the operator costs, and how long it takes.

API server, etcd and scheduler are Kubernetes' own, the operator is the process and has the account that
the chart gives it; nodes and volumes are simulated (KWOK), so that no time goes into containers. Needs no cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench import processes
from bench.figures import Verdicts, percentile
from codesessions_crds.names import API_VERSION, ORGANIZATION_LABEL
from codesessions_kube.client import HttpKubeClient, connect
from codesessions_kube.kinds import CODE_SESSION, POD
from codesessions_kube.store import Key
from codesessions_kube.watchcache import WatchCache
from support.controlplane import free_port
from support.helm import CHART, URL, helm
from support.programs import start
from support.simulation import STORAGE_CLASS, Binder, Simulation

SYSTEM, NAMESPACE, MANAGER = "system", "load", "bench"
ACCOUNT = "codesessions-operator"
NODES = 20
AT_ONCE = 16
"""Requests that the bench has on their way at a time."""
PACED, RATE = 200, 10.0
"""Sessions that arrive one by one, and how many a second."""
AWAY = 100
"""Of each kind of change while the operator is away."""
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def session(name: str) -> dict[str, Any]:
    storage = {"size": "1Gi", "storageClassName": STORAGE_CLASS}
    return {
        "apiVersion": API_VERSION,
        "kind": "CodeSession",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "projectName": f"project {name}",
            "projectDescription": "for the benchmark",
            "userId": "bench",
            "workspace": {"storage": storage},
            "startTimeoutSeconds": 900,
        },
    }


class Operator:
    """The operator's process."""

    def __init__(self, plane: Simulation, folder: Path) -> None:
        self.port = free_port()
        self.begun = time.monotonic()
        self._process: subprocess.Popen[bytes] = start(plane, SYSTEM, "operator", folder, port=self.port)
        self.pid = self._process.pid

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return 0.0
        found = re.findall(rf"^codesessions_operator_{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))


class Bench:
    """The cluster as the bench sees it: by a watch of its own."""

    def __init__(self, plane: Simulation, client: HttpKubeClient) -> None:
        self.plane, self.client = plane, client
        self.sessions = WatchCache(client, CODE_SESSION, changed=self._note, transform=_phase_alone)
        self.pods = WatchCache(client, POD, transform=_nothing)
        self.running: dict[str, float] = {}
        self.created: dict[str, float] = {}

    def _note(self, key: Key) -> None:
        if self.phase(key[1]) == "Running":
            self.running.setdefault(key[1], time.monotonic())

    def phase(self, name: str) -> str:
        return str((self.sessions.get(NAMESPACE, name) or {}).get("phase"))

    def phases(self) -> Counter[str]:
        return Counter(str(item["phase"]) for item in self.sessions.items())

    async def create(self, name: str) -> None:
        self.created[name] = time.monotonic()
        await self.client.create(CODE_SESSION, NAMESPACE, session(name), manager=MANAGER)

    async def complete(self, name: str) -> None:
        await self.client.patch(CODE_SESSION, NAMESPACE, name, {"spec": {"state": "Completed"}}, manager=MANAGER)

    async def wait(self, what: str, holds: Callable[[], bool], *, seconds: float = 600) -> None:
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:.0f} s in vain: {what}; phases: {dict(self.phases())}")
            await asyncio.sleep(0.05)

    async def arrive(self, names: list[str]) -> list[float]:
        """Create sessions at a fixed pace, whatever becomes of them; seconds from each one's create to Running."""
        begun, tasks = time.monotonic(), []
        for number, name in enumerate(names):
            await asyncio.sleep(begun + number / RATE - time.monotonic())
            tasks.append(asyncio.create_task(self.create(name)))
        await asyncio.gather(*tasks)
        await self.wait("the sessions run", lambda: all(name in self.running for name in names), seconds=60)
        return [self.running[name] - self.created[name] for name in names]

    def writes(self) -> Counter[str]:
        """Writes of the operator's account so far, its clock (the Lease) apart, by `verb resource`."""
        calls = (call for call in self.plane.calls() if call.account == ACCOUNT and call.verb in WRITES)
        return Counter(f"{call.verb} {call.resource}" for call in calls if call.resource != "leases")

    def all_writes(self) -> int:
        """Writes of everybody that were granted, leases apart, by the API server's own count."""
        text = self.plane.kubectl()("get", "--raw", "/metrics")
        count = 0.0
        for labels, value in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.MULTILINE):
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if found["verb"] in {"POST", "PUT", "PATCH", "APPLY", "DELETE"} and found["code"].startswith("2"):
                count += float(value) if found["resource"] != "leases" else 0
        return int(count)


def _phase_alone(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {name: item["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
    return {"metadata": metadata, "phase": (item.get("status") or {}).get("phase")}


def _nothing(item: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {name: item["metadata"][name] for name in ("name", "namespace", "resourceVersion")}}


async def at_once(work: Callable[[Any], Coroutine[Any, Any, object]], items: list[Any]) -> None:
    """Do the work on every item, a few at a time."""
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def prepare(plane: Simulation) -> None:
    """Definitions, roles, accounts, an organisation, nodes."""
    words = ("install", "codesessions", CHART, "--create-namespace", f"--namespace={SYSTEM}")
    answer = helm(*words, f"--kubeconfig={plane.kubeconfig}", values=URL)
    assert answer.returncode == 0, answer.stderr
    kubectl = plane.kubectl()
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    metadata = {"name": NAMESPACE, "labels": {ORGANIZATION_LABEL: "org_load"}}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    plane.add_nodes(NODES)


def memory(pid: int) -> str:
    sizes = processes.resident(pid), processes.proportional(pid), processes.peak(pid)
    return "{:.0f} MiB RSS, {:.0f} MiB PSS, {:.0f} MiB at most".format(*sizes)


async def measure(plane: Simulation, folder: Path, count: int, verdicts: Verdicts) -> None:
    """Print the figures."""
    os.environ["KUBECONFIG"] = str(plane.kubeconfig)
    async with await connect() as client:
        bench = Bench(plane, client)
        binder = Binder(client)
        watches = [asyncio.create_task(each.run()) for each in (bench.sessions, bench.pods, binder)]
        operator = Operator(plane, folder)
        try:
            names = [f"cs-load{number:05}" for number in range(count)]
            spare = [f"cs-late{number:05}" for number in range(AWAY)]
            claims = [(NAMESPACE, name.replace("cs-", "ws-", 1)) for name in names + spare]
            await at_once(binder.add_volume, claims)
            await bench.wait("the operator leads", lambda: operator.metric("leader") == 1, seconds=60)
            print(f"operator, no sessions: {memory(operator.pid)}", flush=True)

            everybody = bench.all_writes()
            took = await bench.arrive(names[:PACED])
            pace = f"{PACED} sessions, {RATE:.0f} a second, create -> Running"
            print(f"{pace}: p50 {percentile(took, 0.5) * 1000:.0f}, p99 {percentile(took, 0.99) * 1000:.0f} ms")

            rest, begun, used = names[PACED:], time.monotonic(), processes.cpu(operator.pid)
            await at_once(bench.create, rest)
            asked = time.monotonic() - begun
            await bench.wait("all sessions run", lambda: len(bench.running) == count)
            seconds, used = time.monotonic() - begun, processes.cpu(operator.pid) - used
            rate = len(rest) / seconds
            print(f"{len(rest)} more at once (created within {asked:.1f} s): all Running after {seconds:.1f} s")
            print(f"  {rate:.0f} sessions/s, {used / len(rest) * 1000:.1f} ms of the operator's CPU each", flush=True)
            halves = sorted(bench.running[name] - begun for name in rest)
            print(f"  a quarter each after {', '.join(f'{halves[len(rest) * n // 4 - 1]:.1f}' for n in range(1, 5))} s")
            await bench.wait("the queue is empty", lambda: operator.metric("queue_depth") == 0)
            made, total = bench.writes(), bench.all_writes() - everybody
            print(f"writes until Running, the operator's: {made.total() / count:.2f} a session {dict(made)}")
            print(f"  everybody's (client, scheduler, volumes, kubelet too): {total / count:.1f} a session", flush=True)
            print(f"operator, {count} sessions: {memory(operator.pid)}", flush=True)
            verdicts.at_most("operator with all sessions, MiB RSS", processes.resident(operator.pid), 200)

            operator.stop()
            before, operator = bench.writes(), Operator(plane, folder)
            again = lambda: operator.metric("reconcile_total") >= count and operator.metric("queue_depth") == 0  # noqa: E731
            await bench.wait("every session is looked at again", again, seconds=120)
            seconds, after = time.monotonic() - operator.begun, bench.writes() - before
            print(f"restart with nothing to do: converged {seconds:.1f} s after the start, writes {dict(after)}")
            print(f"  {processes.cpu(operator.pid):.1f} s CPU, {memory(operator.pid)}", flush=True)
            verdicts.at_most("writes of a restart with nothing to do", after.total(), 0)

            operator.stop()
            lost, done = names[:AWAY], names[AWAY : 2 * AWAY]
            pods = [name.replace("cs-", "ws-", 1) for name in lost]
            uids = {pod: (await client.get(POD, NAMESPACE, pod))["metadata"]["uid"] for pod in pods}
            await at_once(lambda pod: client.delete(POD, NAMESPACE, pod, grace_seconds=0), pods)
            await at_once(bench.complete, done)
            await at_once(bench.create, spare)
            operator = Operator(plane, folder)

            def caught_up() -> bool:
                ended = all(bench.phase(name) == "Completed" for name in done)
                return ended and all(bench.phase(name) == "Running" for name in spare) and bool(uids)

            async def replaced(pod: str) -> None:
                await bench.wait(f"{pod} is back", lambda: bench.pods.get(NAMESPACE, pod) is not None)

            await asyncio.gather(bench.wait("it catches up", caught_up), *map(replaced, pods))
            seconds = time.monotonic() - operator.begun
            print(f"restart, {AWAY} pods lost, {AWAY} sessions new, {AWAY} ended meanwhile: caught up {seconds:.1f} s")
            print("  after the start", flush=True)

            left = [name for name in names + spare if bench.phase(name) != "Completed"]
            begun, before = time.monotonic(), bench.writes()
            await at_once(bench.complete, left)
            ended = lambda: bench.phases()["Completed"] == count + AWAY and not bench.pods.items()  # noqa: E731
            await bench.wait("all sessions are Completed and their pods gone", ended)
            seconds, ends = time.monotonic() - begun, bench.writes() - before
            print(f"{len(left)} sessions completed at once: all ended after {seconds:.1f} s")
            each = made.total() / count + ends.total() / len(left)
            print(f"writes of an end, the operator's: {ends.total() / len(left):.2f} a session {dict(ends)}")
            print(f"operator at the end: {memory(operator.pid)}")
            verdicts.at_most("writes of the operator over a session's whole life", each, 10)
        finally:
            operator.stop()
            for task in watches:
                task.cancel()
            await asyncio.gather(*watches, return_exceptions=True)


def main() -> None:
    """Print the figures; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000)
    count = parser.parse_args().sessions
    verdicts = Verdicts()
    with tempfile.TemporaryDirectory() as place:
        plane = Simulation(Path(place))
        try:
            plane.start()
            prepare(plane)
            asyncio.run(measure(plane, Path(place), count, verdicts))
        except BaseException:
            for name in ("operator", "kwok", "scheduler", "apiserver"):
                log = Path(place) / f"{name}.log"
                print(f"--- {name}", *(log.read_text().splitlines()[-8:] if log.exists() else []), sep="\n")
            raise
        finally:
            plane.stop()
    print(verdicts.text())
    if not verdicts.met:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
