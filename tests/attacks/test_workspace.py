"""A workspace whose shell is the attacker's: it hurts itself at most, not its terminal, its node or a neighbour."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from attacks.conftest import Organization, lives
from support.session import Object, Session, Sessions, until


def python(session: Session, program: str, *, seconds: float = 240) -> str:
    """Run a program in the workspace."""
    text = base64.b64encode(program.encode()).decode()
    return session.run(f"echo {text} | base64 -d >/tmp/attack.py; python3 /tmp/attack.py", seconds=seconds)


@pytest.fixture(scope="module")
def filler(blue: Organization) -> Iterator[Session]:
    """A session that fills its disk, which the kubelet notices after a while: begun first, looked at last."""
    sessions = Sessions(blue.client, blue.kubectl)
    limits = {"ephemeral-storage": "24Mi"}
    found = sessions.apply("cs-filler", workspace={"resources": {"limits": limits}, "storage": {"ephemeral": True}})
    found.until_phase("running")
    found.type("head -c 120000000 /dev/zero >/tmp/full; df /tmp\n")
    yield found
    sessions.remove()


def test_it_has_no_token_no_key_and_no_way_to_the_transcript(hostile: Session, filler: Session) -> None:
    assert hostile.run("ls /var/run/secrets /etc/codesession /var/lib/codesession 2>/dev/null | wc -l") == "0"
    assert hostile.run("env | grep -ci -e token -e key -e secret") == "0"
    assert hostile.run(
        "id -u; grep --color=never -i -e ^capeff -e ^nonewprivs -e ^seccomp: /proc/self/status"
    ).split() == [
        *("1000", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"),
    ]
    assert hostile.run("ps -e -o comm= | grep -c -e sidecar -e pause") == "0"  # a pid namespace of its own
    said = hostile.run("cd /run/codesession; touch x; rm -f pty.sock; ln -s /x y")
    assert said.count("Read-only file system") == 3, said
    lives(hostile)


def test_floods_of_its_own_socket_change_nothing(hostile: Session, victim: Session) -> None:
    """Packets that are no hello, hellos with files for a terminal, hellos with one of its own, and too many callers."""
    said = python(
        hostile,
        """
import json, os, socket, time
path = "/run/codesession/pty.sock"
def call():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(0.2)
    s.connect(path)
    return s
hello = json.dumps(dict(v=2, type="hello", pid=1, started=0, epoch=1, state="running")).encode()
files = [os.open("/dev/zero", os.O_RDONLY), os.open("/tmp", os.O_RDONLY), *os.pipe()]
own = [os.openpty()[0], *os.pipe(), *os.pipe()]
held, sent, refused = [], 0, 0
end = time.monotonic() + 4
while time.monotonic() < end:
    try:
        s = call()
        for packet, handed in ((b"x" * 60000, []), (b"[" * 4000, []), (hello, files if sent % 2 else own)):
            socket.send_fds(s, [packet], handed)
            sent += len(packet)
        held.append(s)
        del held[:-40]
    except OSError:
        refused += 1
print("sent", sent > 0, "refused", refused > 0)
""",
    )
    assert "sent True" in said
    lives(hostile)
    lives(victim)


def test_it_cannot_take_the_sidecars_place(hostile: Session) -> None:
    said = python(
        hostile,
        """
import socket
own = socket.gethostbyname(socket.gethostname())
for host in ("0.0.0.0", "127.0.0.1", own):
    for option in (None, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        s = socket.socket()
        if option:
            s.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            s.bind((host, 7681)); s.listen()
            print("TAKEN", host, option)
        except OSError as error:
            print("busy", error.errno)
""",
    )
    assert "TAKEN" not in said
    assert said.count("busy") == 9
    said = python(
        hostile,
        """
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:7681/v1/output", timeout=10).status)
except urllib.error.HTTPError as error:
    print("refused", error.code)
""",
    )
    assert said == "refused 401"


def test_it_kills_what_it_can_and_the_shell_goes_on(hostile: Session) -> None:
    """Signals to every process it sees: the launcher is the first process, which cannot be killed from inside."""
    hostile.run("kill -9 -1; kill -9 1; kill -STOP 1; kill -TERM -1; true")
    lives(hostile)


def test_a_fork_bomb_ends_at_the_pods_limit_and_nobody_else_notices(hostile: Session, victim: Session) -> None:
    """The limit is the kubelet's podPidsLimit (1024 here): the platform team sets it (docs/security.md)."""
    said = python(
        hostile,
        """
import os, signal, time
made = []
try:
    while len(made) < 4000:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        made.append(pid)
except OSError as error:
    print("stopped", error.errno)
for pid in made:
    os.kill(pid, signal.SIGKILL)
for pid in made:
    os.waitpid(pid, 0)
print("made", len(made))
""",
    )
    assert "stopped 11" in said
    assert int(said.rpartition("made ")[2].split()[0]) < 1024
    lives(victim)
    lives(hostile)


def test_a_flood_of_output_costs_old_output_and_nothing_else(
    blue: Organization, hostile: Session, victim: Session
) -> None:
    hostile.type("yes 0123456789abcdef | head -c 48000000; echo flo''oded\n")
    lives(victim)

    def over() -> bool:
        """Look at the newest output alone: reading all of it would take long."""
        last = blue.client.must("GET", f"{hostile.path}/output?afterSeq={hostile.seen}&limit=1")["lastSeq"]
        hostile.seen = max(hostile.seen, last - 9)
        text = ""
        while chunks := hostile.page(wait=0)["chunks"]:
            text += "".join(each["text"] for each in chunks)
            if len(text) > 4_000_000:
                return False  # it goes on, faster than this reads
        return "flooded" in text

    until("the flood is over", over, seconds=240)
    lives(hostile)


def test_links_lead_nowhere(blue: Organization, hostile: Session) -> None:
    """Links where the sidecar reads files: it follows none out of the workspace."""
    targets = {"stolen": "/etc/codesession/workspace-key", "spool": "/var/lib/codesession", "root": "/"}
    hostile.run("; ".join(f"ln -sfn {target} /workspace/{name}" for name, target in targets.items()))

    status, answer = blue.client.call("POST", f"{hostile.path}/deploy")
    assert status in {200, 201, 202, 501}, answer
    if status != 501:
        app = f"/api/v1/apps/{answer['appId']}"

        def refused() -> list[Object]:
            builds = blue.client.must("GET", f"{app}/builds")["items"]
            return [each for each in builds if each["status"] == "failed"]

        failed = until("the build is refused", refused)
        assert "ink" in str(failed[0]), failed
        blue.client.call("DELETE", app)
    lives(hostile)


def test_a_full_disk_is_its_own_pods_end(blue: Organization, filler: Session, victim: Session) -> None:
    """The kubelet evicts it (ephemeral-storage); the session goes on in another pod, neighbours never stopped."""

    def replaced() -> bool:
        found = blue.kubectl.get("codesession", filler.name) or {}
        return bool(found["status"].get("restarts"))

    until("the pod is evicted and replaced", replaced, seconds=400, every=1)
    lives(victim)
