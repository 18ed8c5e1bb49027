"""The gateway through the ingress, with a real client, to real terminals."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from codesessions_crds.credentials import new_api_key
from codesessions_dev.client import Client
from codesessions_dev.envfile import Access
from support.kubectl import Kubectl
from support.session import Session, Sessions, until
from support.terminal import OURS, Resuming, attach, read_until, tell
from websockets.exceptions import ConnectionClosed, InvalidStatus

SYSTEM = "codesessions-system"


@pytest.fixture(scope="module")
def shared(client: Client, kubectl: Kubectl) -> Iterator[Session]:
    """A session that several tests look at; none ends it."""
    sessions = Sessions(client, kubectl)
    yield sessions.create("gateway")
    sessions.remove()


def endpoint(session: Session) -> str:
    """Its address, once the API has heard of it."""
    return str(until(f"{session.id} has an address", lambda: session.get()["ptyEndpoint"]))


async def closed(socket: Any) -> tuple[int, str]:
    """Read to the end; the close code and reason."""
    async with asyncio.timeout(60):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as error:
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd is not None else (1006, "")


async def not_running(access: Access, session: Session) -> str:
    """Connect until the gateway has heard that the session does not run; the reason that it gives."""
    found: object = None
    for _ in range(120):
        try:
            async with await attach(access, endpoint(session)) as socket:
                found = code, reason = await closed(socket)
        except InvalidStatus as refused:  # it has not heard of the session at all
            found = refused
        else:
            if code == 4409:
                return reason
        await asyncio.sleep(0.5)
    raise AssertionError(f"the gateway never said that {session.id} does not run; the last was {found}")


async def test_raw_types_and_shows(access: Access, shared: Session) -> None:
    async with await attach(access, endpoint(shared)) as socket:
        assert socket.subprotocol is None
        await socket.send("echo ra''w-$((6*7))\n")
        assert "raw-42" in await read_until(socket, "raw-42")
        assert await asyncio.wait_for(await socket.ping(), 60) >= 0


async def test_ours_says_hello_and_resizes(access: Access, shared: Session) -> None:
    async with await attach(access, endpoint(shared), OURS, query="afterSeq=0") as socket:
        assert socket.subprotocol == OURS
        hello = json.loads(await socket.recv())
        assert (hello["type"], hello["sessionId"]) == ("hello", shared.id)
        await tell(socket, type="resize", rows=33, cols=101)
        await tell(socket, type="input", text="echo si''ze $(stty size)\n")
        text, seqs = "", []
        async with asyncio.timeout(60):
            while "size 33 101" not in text:
                message = json.loads(await socket.recv())
                if message["type"] == "output":
                    text, seqs = text + message["text"], [*seqs, message["seq"]]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_rest_and_websocket_share_the_numbering(access: Access, shared: Session) -> None:
    shared.run("echo shared numbering")
    async with await attach(access, endpoint(shared), OURS, query=f"afterSeq={shared.seen - 1}") as socket:
        async with asyncio.timeout(60):
            while (message := json.loads(await socket.recv()))["type"] != "output":
                pass
    assert message["seq"] == shared.seen


async def test_the_shells_end_is_the_close_code(access: Access, sessions: Sessions) -> None:
    session = sessions.create("exit")
    async with (
        await attach(access, endpoint(session)) as raw,
        await attach(access, endpoint(session), OURS) as ours,
    ):
        await raw.send("exit 7\n")
        assert await closed(raw) == (1000, "exit 7")
        assert await closed(ours) == (1000, "exit 7")
    session.until_phase("completed")
    assert "completed" in await not_running(access, session)


async def test_a_session_that_does_not_run_yet_is_4409(access: Access, sessions: Sessions, kubectl: Kubectl) -> None:
    session = sessions.apply("cs-nopull", workspace={"image": "registry.invalid/no/such:image"})
    session.until_reason("PodStarting", "ImagePullFailed")
    assert "creating" in await not_running(access, session)


@pytest.mark.parametrize(("key", "status"), [("", 401), ("csk_nosuch", 401)])
async def test_a_program_without_a_good_key_gets_401(access: Access, shared: Session, key: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await attach(access, endpoint(shared), key=key)
    assert caught.value.response.status_code == status
    assert caught.value.response.headers["WWW-Authenticate"]
    assert json.loads(caught.value.response.body or b"{}")["code"] in {"missing_api_key", "invalid_api_key"}


async def test_a_page_without_a_good_ticket_gets_4401(access: Access, shared: Session) -> None:
    origin = {"Origin": access.url}
    async with await attach(access, endpoint(shared), OURS, key="csk_nosuch", headers=origin) as socket:
        assert socket.subprotocol == OURS
        assert (await closed(socket))[0] == 4401


async def test_another_sites_page_is_refused(access: Access, shared: Session) -> None:
    async with await attach(access, endpoint(shared), headers={"Origin": "https://evil.example"}) as socket:
        assert (await closed(socket))[0] == 4403


async def test_an_unknown_session_is_404(access: Access, shared: Session) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await attach(access, endpoint(shared).replace(shared.id, "cs_nosuch"))
    assert caught.value.response.status_code == 404


async def test_a_ticket_opens_its_session_and_no_other(
    access: Access, client: Client, shared: Session, sessions: Sessions
) -> None:
    ticket = client.must("POST", f"{shared.path}/tickets")["ticket"]
    offered = f"ticket.codesessions.dev.{ticket}"
    async with await attach(access, endpoint(shared), OURS, offered, key="") as socket:
        assert socket.subprotocol == OURS
        assert json.loads(await socket.recv())["type"] == "hello"
    other = sessions.create("not its session")
    with pytest.raises(InvalidStatus) as caught:
        await attach(access, endpoint(other), OURS, offered, key="")
    assert caught.value.response.status_code == 401


async def test_a_revoked_key_closes_what_it_opened(access: Access, kubectl: Kubectl, shared: Session) -> None:
    key = new_api_key()
    spec = {"hash": key.hash, "scopes": ["code-sessions:read"], "userId": "u"}
    name, api = f"csk-{key.id}", "codesessions.dev/v1alpha1"
    kubectl.apply({"apiVersion": api, "kind": "APIKey", "metadata": {"name": name}, "spec": spec})
    other = replace(access, api_key=key.text)
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    socket = await attach(other, endpoint(shared))
                except InvalidStatus:  # the watch has not told yet
                    await asyncio.sleep(0.1)
                else:
                    break
        async with socket:
            kubectl("patch", "apikey", name, "--type=merge", "-p", '{"spec":{"disabled":true}}')
            assert (await closed(socket))[0] == 4401
    finally:
        kubectl("delete", "apikey", name, "--ignore-not-found")


async def test_a_rolling_restart_of_the_gateway_loses_nothing_for_a_client_that_resumes(
    access: Access, kubectl: Kubectl, sessions: Sessions
) -> None:
    session = sessions.create("rolling")
    reader = Resuming(access, endpoint(session))
    line = "i=$((i + 1)); echo line-$i-$(printf '%0200d' $i); sleep 0.05"
    await asyncio.to_thread(session.type, f"i=0; while [ ! -e enough ]; do {line}; done; echo do''ne\n")
    reading = asyncio.create_task(reader.read("done\r\n", seconds=360))
    gateway = "deployment/codesessions-gateway"
    await asyncio.to_thread(kubectl, "--namespace", SYSTEM, "rollout", "restart", gateway)
    await asyncio.to_thread(kubectl, "--namespace", SYSTEM, "rollout", "status", gateway, "--timeout=240s")
    restarted = lambda: reading.done() or 1012 in reader.closes  # noqa: E731
    await asyncio.to_thread(until, lambda: f"it is told that the gateway restarts: {reader.closes}", restarted)
    await asyncio.to_thread(kubectl, "exec", session.pod, "-c", "workspace", "--", "touch", "/workspace/enough")
    await reading
    assert 1012 in reader.closes
    assert reader.seqs == list(range(1, len(reader.seqs) + 1))
    lines = int(re.findall(r"line-(\d+)-0", reader.text)[-1])
    expected = "".join(f"line-{i}-{i:0200d}\r\n" for i in range(1, lines + 1))
    assert f"{expected}done\r\n" in reader.text
