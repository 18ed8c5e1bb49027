"""What the logs of a run say, and what they must never say. Runs last: it reads what all other tests have caused."""

from __future__ import annotations

import base64
import json
import re
import secrets
from typing import Any

from codesessions_dev.client import BASE, Client
from codesessions_dev.envfile import Access
from support.kubectl import Kubectl
from support.session import Session, Sessions, until
from support.terminal import attach

SYSTEM = "codesessions-system"
KEY = re.compile(r"csk_[a-z0-9]{8}_[0-9A-Za-z]{49}")
TICKET = re.compile(r"eyJzaWQiOi[\w-]{20,}\.[\w-]{40,}")
TRACE = secrets.token_hex(16)


def logs_of(kubectl: Kubectl, namespace: str, pod: str, container: str) -> str:
    """All that is kept of a container's log, of the one before a restart too. Pods may go meanwhile."""
    words = ("--namespace", namespace, "logs", pod, "--container", container)
    return kubectl.tries(*words, "--previous").stdout + kubectl.tries(*words).stdout


def all_logs(kubectl: Kubectl) -> dict[str, str]:
    """Of API, gateway, operator and every sidecar, by pod and container."""
    found = {}
    for pod in kubectl.list("pods", "--all-namespaces"):
        metadata, spec = pod["metadata"], pod["spec"]
        names = [each["name"] for each in (*spec.get("initContainers", ()), *spec["containers"])]
        for name in names if metadata["namespace"] == SYSTEM else set(names) & {"pty"}:
            found[f"{metadata['name']} {name}"] = logs_of(kubectl, metadata["namespace"], metadata["name"], name)
    return found


def keys_of_workspaces(kubectl: Kubectl) -> list[str]:
    """The master key and all that were derived from it, as they are in Secrets."""
    found = []
    for secret in kubectl.list("secrets", "--all-namespaces"):
        for name in {"master-key", "workspace-key"} & set(secret.get("data") or {}):
            found.append(base64.b64decode(secret["data"][name]).decode().strip())
    return found


def objects_in(logs: str) -> list[dict[str, Any]]:
    """The lines that are JSON."""
    return [json.loads(line) for line in logs.splitlines() if line.startswith("{")]


def lines_about(logs: str, session: Session) -> list[dict[str, Any]]:
    """The JSON lines that name a session."""
    return [line for line in objects_in(logs) if session.id in str(line) or session.name in str(line)]


def of(logs: dict[str, str], component: str) -> str:
    """What one of the three programs has logged, all replicas together."""
    return "".join(each for place, each in logs.items() if place.endswith(f" {component}"))


def audit(logs: dict[str, str], component: str, session: Session) -> list[dict[str, Any]]:
    """The audit log about a session."""
    return [line for line in lines_about(of(logs, component), session) if line.get("logger") == "audit"]


def verbs_of(logs: dict[str, str], component: str, session: Session) -> set[str]:
    return {line["verb"] for line in audit(logs, component, session)}


async def test_logs_tell_who_did_what_and_no_secrets(
    access: Access, client: Client, kubectl: Kubectl, sessions: Sessions
) -> None:
    passphrase, token, guess = (f"e2e-{kind}-{secrets.token_hex(12)}" for kind in ("typed", "environment", "guess"))
    headers = {"X-Request-Id": f"e2e.{secrets.token_hex(8)}", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    body = {"projectName": "secrets", "projectDescription": "made by a test"}
    status, made = client.call("POST", BASE, body, more=headers)
    assert status == 201, made
    session = sessions.adopt(made["sessionId"])
    workspace = {"env": [{"name": "TOKEN", "value": token}], "storage": {"ephemeral": True}}
    other = sessions.apply(f"cs-env{secrets.token_hex(4)}", workspace=workspace)
    session.until_phase("running")
    other.until_phase("running")
    assert len(other.run("echo $TOKEN")) == len(token)

    session.type("stty -echo; read -r secret; stty echo; echo go''t\n")
    session.type(f"{passphrase}\n")
    session.read_until("got")
    assert client.call("POST", f"{session.path}/input", {"text": f": {passphrase}\n"}, more=headers)[0] == 200
    async with await attach(access, session.get()["ptyEndpoint"], headers=headers) as socket:
        await socket.send(f": {passphrase}\n")
    ticket = client.must("POST", f"{session.path}/tickets")["ticket"]
    assert client.call("GET", BASE, more={"X-API-Key": guess})[0] == 401
    assert client.call("GET", session.path, more={"Authorization": f"Bearer {guess}"})[0] == 200

    def told() -> dict[str, str] | None:
        """The logs, once all of this is in them."""
        logs = all_logs(kubectl)
        whole = (
            '"detach"' in logs.get(f"{session.pod} pty", "")
            and verbs_of(logs, "api", session) >= {"create", "input", "ticket"}
            and verbs_of(logs, "gateway", session) >= {"attach"}
            and headers["X-Request-Id"] in of(logs, "operator")
        )
        return logs if whole else None

    logs = until("all of it is in the logs", told)
    forbidden = [access.api_key, passphrase, token, guess, ticket, *keys_of_workspaces(kubectl)]
    assert len(forbidden) >= 8  # the master key and two workspaces' at least
    for place, text in logs.items():
        for number, line in enumerate(text.splitlines(), 1):
            found = any(each in line for each in forbidden) or KEY.search(line) or TICKET.search(line)
            assert not found, f"line {number} of {place} has a secret"

    # and the same request is found again at every hop
    for component in ("api", "gateway"):
        mine = [line for line in audit(logs, component, session) if line["requestId"] == headers["X-Request-Id"]]
        assert {line["traceId"] for line in mine} == {TRACE}
    assert headers["X-Request-Id"] in {line.get("requestId") for line in lines_about(of(logs, "operator"), session)}
    attached = [line for line in objects_in(logs[f"{session.pod} pty"]) if line.get("event") == "attach"]
    assert {(line["requestId"], line["traceId"]) for line in attached} == {(headers["X-Request-Id"], TRACE)}
