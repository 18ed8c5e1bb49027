"""A hundred sessions at once through the ingress: each types a line a second and polls, and every byte is compared.

Every session types commands into a shell of its own whose output is known beforehand. A line counts from the request
that types it to the poll that brings the last byte of its output. Memory is that of the processes beside the shell.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from bench import processes
from bench.figures import Verdicts, percentile, summary
from codesessions_dev import envfile
from codesessions_dev.client import BASE
from codesessions_dev.envfile import Access
from support.kubectl import Kubectl

ORGANIZATION = "bench-load"
KEYS = 10
"""Keys that share the sessions: people have their own."""
AT_ONCE = 8
"""Sessions that are made at a time."""
BARE_SHELL = "exec env PS1= PS2= PROMPT_COMMAND= bash --noprofile --norc --noediting"
"""A shell that prints nothing but the output of commands, once the terminal's echo is off."""


@dataclass
class Talk:
    """One session, what was typed into it, and what came."""

    id: str
    http: aiohttp.ClientSession
    seq: int = 0
    expected: str = ""
    came: str = ""
    ends: list[tuple[int, float]] = field(default_factory=list)
    """For every line typed: how long all output is once its own is there, and when it was sent."""
    times: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    """How long the requests took that type."""
    errors: list[str] = field(default_factory=list)

    async def type(self, text: str) -> None:
        begun = time.monotonic()
        async with self.http.post(f"{BASE}/{self.id}/input", json={"text": text}) as answer:
            if answer.status != 200 or (await answer.json())["bytes"] != len(text.encode()):
                self.errors.append(f"input: {answer.status} {await answer.text()}")
        self.answers.append(time.monotonic() - begun)

    async def page(self, wait: int) -> str:
        """The next output; gaps in the numbers are errors."""
        url = f"{BASE}/{self.id}/output?afterSeq={self.seq}"
        async with self.http.get(url, headers={"Prefer": f"wait={wait}"}) as answer:
            if answer.status != 200:
                self.errors.append(f"output: {answer.status} {await answer.text()}")
                return ""
            chunks = (await answer.json())["chunks"]
        for chunk in chunks:
            if chunk["seq"] != self.seq + 1:
                self.errors.append(f"chunk {chunk['seq']} after {self.seq}")
            self.seq = chunk["seq"]
        return "".join(chunk["text"] for chunk in chunks)

    async def settle(self) -> None:
        """Turn the echo off, get the bare shell, and read up to where it is known what comes."""
        await self.type(f"stty -echo; {BARE_SHELL}\n")
        await self.type("printf '%s\\n' rea''dy\n")
        text, end = "", time.monotonic() + 60
        while "ready\r\n" not in text.replace("rea''dy", ""):
            text += await self.page(5)
            assert time.monotonic() < end, f"{self.id} does not come up: {text!r}"
        assert text.endswith("ready\r\n"), text
        self.answers.clear()

    async def write(self, seconds: float, rate: float) -> None:
        """Type lines at a steady rate, the first at a moment of one's own."""
        chance, begun, number = random.Random(self.id), time.monotonic(), 0
        first = begun + chance.uniform(0, 1 / rate)
        while (due := first + number / rate) < begun + seconds:
            await asyncio.sleep(due - time.monotonic())
            a, b, width = chance.randrange(10**6), chance.randrange(10**6), chance.randrange(1, 120)
            self.expected += f"{self.id} {number} {a + b} {'x' * width}\r\n"
            self.ends.append((len(self.expected), time.monotonic()))
            await self.type(f'printf "%s %d %d %s\\n" {self.id} {number} $(({a}+{b})) {"x" * width}\n')
            number += 1

    async def read(self, seconds: float) -> None:
        """Poll until all has come that is to come, and a little longer than the typing."""
        end, next_line = time.monotonic() + seconds + 30, 0
        typed = time.monotonic() + seconds + 1
        while time.monotonic() < typed or (len(self.came) < len(self.expected) and time.monotonic() < end):
            self.came += await self.page(1)
            now = time.monotonic()
            while next_line < len(self.ends) and self.ends[next_line][0] <= len(self.came):
                self.times.append(now - self.ends[next_line][1])
                next_line += 1

    @property
    def wrong(self) -> int:
        """Bytes that are not what they should be, or are missing, or too many."""
        pairs = zip(self.came.encode(), self.expected.encode(), strict=False)
        return sum(a != b for a, b in pairs) + abs(len(self.came) - len(self.expected))


def keys(access: Access) -> list[str]:
    """Keys of an organisation of the bench's own."""
    cli, env = [str(Path(sys.prefix) / "bin" / "codesessions")], {**os.environ, "KUBECONFIG": str(access.kubeconfig)}
    subprocess.run([*cli, "org", "create", ORGANIZATION], env=env, check=True, capture_output=True)
    words = ["--org", ORGANIZATION, "--scopes", "code-sessions:read,code-sessions:write", "-o", "json"]
    made = []
    for number in range(KEYS):
        command = [*cli, "keys", "create", "--user", f"bench-{number}", *words]
        made.append(json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)["key"])
    return made


async def make(https: list[aiohttp.ClientSession], count: int) -> list[Talk]:
    """Sessions that run, and are ready to be typed into."""
    numbers, made = iter(range(count)), list[Talk]()

    async def worker() -> None:
        for number in numbers:
            http = https[number % len(https)]
            body = {"projectName": f"load {number}", "projectDescription": ""}
            async with http.post(BASE, json=body, headers={"Prefer": "wait=60"}) as answer:
                found = await answer.json()
                assert answer.status == 201, found
            talk = Talk(found["sessionId"], http)
            made.append(talk)
            end = time.monotonic() + 120
            while found["status"] != "running":
                assert time.monotonic() < end, found
                await asyncio.sleep(0.5)
                async with http.get(f"{BASE}/{talk.id}") as answer:
                    found = {"status": "?", **(await answer.json())}
            await talk.settle()

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return made


def memory(pids: Iterable[int]) -> float:
    """MiB (PSS) a process on average."""
    sizes = [processes.proportional(pid) for pid in pids]
    return sum(sizes) / len(sizes)


def ours() -> dict[str, list[int]]:
    """Our processes on this machine, by what they are."""
    found: dict[str, list[int]] = {}
    for pid, words in processes.commands().items():
        line = " ".join(words)
        if "codesessions_sidecar" in words and "--supervise" not in words:
            found.setdefault("sidecar", []).append(pid)
        elif words[0].endswith("codesessions-launcher") and "--supervise" in words:
            found.setdefault("supervisor", []).append(pid)
        elif words[0] == "/run/codesession/launcher":
            found.setdefault("launcher", []).append(pid)
        for name in ("operator", "api", "gateway"):
            if f"/usr/local/bin/codesessions-{name}" in line:
                found.setdefault(name, []).append(pid)
    return found


def report_memory(count: int) -> float:
    """Print who has what; returns MiB of ours a session."""
    found = ours()
    session = 0.0
    for name in ("sidecar", "supervisor", "launcher"):
        pids = found.get(name, [])
        assert len(pids) >= count, f"{len(pids)} processes of {name}"
        each = memory(pids)
        session += each
        print(f"memory of the {name}: {each:.2f} MiB PSS on average (n={len(pids)})")
    for name in ("operator", "api", "gateway"):
        for pid in found.get(name, []):
            print(f"memory of the {name}: {processes.resident(pid):.0f} MiB RSS, {processes.cpu(pid):.1f} s CPU so far")
    return session


async def measure(access: Access, count: int, seconds: float, rate: float, verdicts: Verdicts) -> None:
    """Print the figures."""
    tls = ssl.create_default_context(cafile=str(access.ca))
    https = [
        aiohttp.ClientSession(
            access.url,
            headers={"X-API-Key": key},
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            timeout=aiohttp.ClientTimeout(90),
        )
        for key in keys(access)
    ]
    try:
        begun = time.monotonic()
        talks = await make(https, count)
        print(f"{count} sessions made and ready, {AT_ONCE} at a time: {time.monotonic() - begun:.0f} s", flush=True)
        print(f"memory of ours a session, before: {report_memory(count):.1f} MiB PSS", flush=True)
        busy, whole = processes.machine()
        used = processes.spent()
        await asyncio.gather(*(talk.write(seconds, rate) for talk in talks), *(talk.read(seconds) for talk in talks))
        busy, whole = processes.machine()[0] - busy, processes.machine()[1] - whole
        spent = {name: sum(processes.cpu(pid) - used.get(pid, 0) for pid in pids) for name, pids in ours().items()}
        print(f"processors busy {busy / whole:.0%} ({os.cpu_count()} of them); CPU seconds of ours:")
        print("  " + ", ".join(f"{name} {value:.1f}" for name, value in spent.items()))
        print(f"CPU seconds of everybody, this client too: {processes.busiest(used)}")
        session = report_memory(count)
        times = [each for talk in talks for each in talk.times]
        typed = sum(len(talk.ends) for talk in talks)
        wrong, errors = sum(talk.wrong for talk in talks), [each for talk in talks for each in talk.errors]
        print(f"{typed} lines typed by {count} sessions in {seconds:.0f} s, {len(times)} answered")
        print(f"{sum(len(talk.came) for talk in talks)} bytes compared")
        print(summary("typing (the request alone)", [each for talk in talks for each in talk.answers]))
        print(summary("input -> output through the ingress", times))
        slowest = [percentile(talk.times, 0.5) for talk in talks if talk.times]
        print(summary("the sessions' own medians", slowest))
        for error in errors[:5]:
            print(f"  {error}")
        verdicts.at_most("errors", len(errors), 0)
        verdicts.at_most("wrong bytes", wrong, 0)
        verdicts.at_most("lines without an answer", typed - len(times), 0)
        verdicts.at_most("memory of ours a session, MiB PSS", session, 25)
    finally:
        for http in https:
            await http.close()


def main() -> None:
    """Print the figures; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1, help="lines a second and session")
    words = parser.parse_args()
    access = envfile.read()
    if access is None:
        raise SystemExit("run `make install` first")
    kubectl, verdicts = Kubectl(access.kubeconfig, ORGANIZATION), Verdicts()
    try:
        asyncio.run(measure(access, words.sessions, words.seconds, words.rate, verdicts))
    finally:
        remove(kubectl)
    print(verdicts.text())
    if not verdicts.met:
        raise SystemExit(1)


def remove(kubectl: Kubectl) -> Any:
    """The organisation and all that is in it; its keys are no use to anybody any more."""
    kubectl("delete", "codesessions.codesessions.dev", "--all", "--wait=false")
    return kubectl.tries("delete", "namespace", ORGANIZATION, "--timeout=180s")


if __name__ == "__main__":
    main()
