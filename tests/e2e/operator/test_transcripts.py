"""Transcripts of ended sessions: a real API server, registry, operator, launcher and sidecar; pods are run by hand."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from codesessions_crds.credentials import workspace_key
from codesessions_oci.registry import Registry
from codesessions_transcript.records import End, Output, Reader
from support.handkubelet import HandSession, running
from support.kubectl import Kubectl
from support.registry import RealRegistry
from support.session import until
from support.sidecar import Rig, ticket

from .conftest import Make, Start

Object = dict[str, Any]
MASTER_KEY = b"k" * 32
PORT = "7681"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    found = RealRegistry(folder)
    found.start()
    yield found
    found.stop()


class Pod:
    """What a kubelet would run for a session: the launcher and the sidecar, at an address of loopback."""

    def __init__(
        self, session: HandSession, kubectl: Kubectl, folder: Path, ip: str, *, linger: int = 240, **environment: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        uid = session.resource()["metadata"]["uid"]
        key = workspace_key(MASTER_KEY, kubectl.namespace, uid)
        identity = session.name.replace("-", "_", 1)
        self.ip = ip
        self.rig = Rig(
            folder,
            CODESESSIONS_HOST=ip,
            CODESESSIONS_PORT=PORT,
            CODESESSIONS_SESSION_ID=identity,
            CODESESSIONS_SESSION_UID=uid,
            CODESESSIONS_LINGER_SECONDS=str(linger),
            **environment,
        )
        (folder / "key").write_text(key.hex())
        self.rig.token = ticket(key=key, sid=identity, uid=uid)

    def end(self) -> None:
        """As the kubelet stops it: the workspace first, then the sidecar."""
        assert self.rig.launcher is not None
        assert self.rig.sidecar is not None
        self.rig.launcher.send_signal(signal.SIGTERM)
        self.rig.launcher.wait(60)
        self.rig.sidecar.send_signal(signal.SIGTERM)

    def stays(self) -> bool:
        assert self.rig.sidecar is not None
        return self.rig.sidecar.poll() is None


@pytest.fixture
def pods() -> Iterator[list[Pod]]:
    made: list[Pod] = []
    yield made
    for each in made:
        each.rig.stop()


def begin(session: HandSession, kubectl: Kubectl, folder: Path, pods: list[Pod], ip: str, *, linger: int = 240) -> Pod:
    """Bring a session to Running, with a shell that has printed something."""
    session.until_pod()
    session.bind()
    pod = Pod(session, kubectl, folder, ip, linger=linger)
    pods.append(pod)
    pod.rig.start_sidecar()
    pod.rig.start_launcher("/bin/sh")
    session.says(running(ip=ip))
    session.until_phase("Running", "Running")
    pod.rig.type("echo re''member\n")
    pod.rig.read_until("remember")
    return pod


def condition(session: HandSession) -> Object:
    found: Object = next((each for each in session.status.get("conditions") or [] if each["type"] == "Archived"), {})
    return found


def archived(session: HandSession, *, seconds: float = 120) -> Object:
    try:
        found: Object = until("it is stored", lambda: session.status.get("transcript"), seconds=seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is: {json.dumps(session.status, indent=1)}") from error
    return found


def stored(registry: RealRegistry, reference: Object) -> tuple[str, End]:
    """The text and the end of a transcript in the registry."""

    async def fetch() -> bytes:
        async with Registry(registry.settings()) as client:
            manifest = await client.get_manifest(reference["repository"], reference["digest"])
            (layer,) = manifest.layers
            return b"".join(
                [part async for part in client.read_blob(reference["repository"], layer.digest, layer.size)]
            )

    reader = Reader()
    records = reader.feed(asyncio.run(fetch()))
    reader.finish()
    assert isinstance(records[-1], End)
    return b"".join(each.data for each in records if isinstance(each, Output)).decode(), records[-1]


def test_the_last_bytes_are_in_and_the_pod_is_let_go(
    start: Start, make: Make, kubectl: Kubectl, registry: RealRegistry, pods: list[Pod], tmp_path: Path
) -> None:
    start(**registry.variables())
    session = make("cs-fast")
    pod = begin(session, kubectl, tmp_path / "pod", pods, "127.7.0.1")
    loop = "while :; do sleep 0.1; done"
    pod.rig.type(f'exec sh -c \'trap "echo last words; exit 3" HUP TERM; echo re""ady; {loop}\'\n')
    pod.rig.read_until("ready")
    session.patch(state="Completed")
    until("the pod is deleted", session.is_leaving)
    assert session.pod() is not None
    pod.end()
    reference = archived(session)
    until("the sidecar is let go", lambda: not pod.stays())
    session.is_gone()
    text, end = stored(registry, reference)
    assert "remember" in text
    assert text.rstrip().endswith("last words")
    assert (end.last_seq, end.code) == (reference["lastSeq"], 3)
    assert (condition(session)["status"], condition(session)["reason"]) == ("True", "Archived")


def test_a_registry_that_is_down_is_waited_for_and_the_sidecar_with_it(
    start: Start, make: Make, kubectl: Kubectl, registry: RealRegistry, pods: list[Pod], tmp_path: Path
) -> None:
    start(**registry.variables())
    session = make("cs-down")
    pod = begin(session, kubectl, tmp_path / "pod", pods, "127.7.0.2")
    registry.stop()
    session.patch(state="Completed")
    until("the pod is deleted", session.is_leaving)
    pod.end()
    until("it is said", lambda: condition(session).get("reason") == "RegistryUnavailable")
    assert session.status["phase"] == "Completed"
    assert pod.stays()
    registry.start()
    text, _ = stored(registry, archived(session))
    assert "remember" in text
    until("the sidecar is let go", lambda: not pod.stays())
    session.is_gone()


def test_a_pod_that_was_killed_is_read_from_its_volume_once_the_registry_is_there(
    start: Start, make: Make, kubectl: Kubectl, registry: RealRegistry, pods: list[Pod], tmp_path: Path
) -> None:
    start(**registry.variables())
    session = make("cs-slow")
    pod = begin(session, kubectl, tmp_path / "pod", pods, "127.7.0.3")
    registry.stop()
    pod.rig.stop()
    session.patch(state="Completed")
    until("the pod is deleted", session.is_leaving)
    session.is_gone()
    until("it is said", lambda: condition(session).get("reason") == "RegistryUnavailable")
    assert session.pod() is None, "a pod that waits for the registry holds its place for nothing"
    registry.start()
    other = until("there is a pod for the transcript", session.pod, seconds=120)
    (container,) = other["spec"]["containers"]
    assert container["name"] == "archive"
    session.bind()
    reader = Pod(session, kubectl, tmp_path / "pod", "127.7.0.4", CODESESSIONS_ARCHIVE="true")
    pods.append(reader)
    reader.rig.start_sidecar()
    session.says(running(ip=reader.ip) | {"initContainerStatuses": []})
    text, _ = stored(registry, archived(session))
    assert "remember" in text
    until("that pod is deleted", session.is_leaving)
    session.is_gone()
    assert session.status["restarts"] == 0
    assert session.status["pod"]["uid"] != other["metadata"]["uid"]


@pytest.mark.parametrize("moment", ["held", "stored"])
def test_an_operator_that_is_killed_is_taken_over(
    moment: str, start: Start, make: Make, kubectl: Kubectl, registry: RealRegistry, pods: list[Pod], tmp_path: Path
) -> None:
    first = start(**registry.variables())
    session = make(f"cs-{moment}")
    ip, linger = ("127.7.0.5", 240) if moment == "held" else ("127.7.0.6", 60)
    pod = begin(session, kubectl, tmp_path / "pod", pods, ip, linger=linger)
    session.patch(state="Completed")
    until("the pod is deleted", session.is_leaving)
    if moment == "held":
        first.end(signal.SIGKILL)
        pod.end()
    else:
        pod.end()
        archived(session)
        first.end(signal.SIGKILL)
    start(**registry.variables())
    text, _ = stored(registry, archived(session))
    assert "remember" in text
    until("the sidecar is let go", lambda: not pod.stays(), seconds=240)
    session.is_gone()


def test_a_session_that_is_deleted_by_its_time_takes_the_transcript_with_it(
    start: Start, make: Make, kubectl: Kubectl, registry: RealRegistry, pods: list[Pod], tmp_path: Path
) -> None:
    start(**registry.variables())
    session = make("cs-ttl")
    pod = begin(session, kubectl, tmp_path / "pod", pods, "127.7.0.7")
    session.patch(state="Completed")
    until("the pod is deleted", session.is_leaving)
    pod.end()
    reference = archived(session)
    session.is_gone()
    session.patch(ttlSecondsAfterFinished=1)
    until("the session is deleted", lambda: session.resource() == {})

    async def tags() -> list[str]:
        async with Registry(registry.settings()) as client:
            return await client.tags(reference["repository"])

    assert asyncio.run(tags()) == []
