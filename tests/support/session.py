"""A session as the tests use it: through REST at the ingress."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from codesessions_dev.client import BASE, Client

from support.kubectl import Kubectl

Object = dict[str, Any]


def until(what: str | Callable[[], str], probe: Callable[[], Any], *, seconds: float = 120, every: float = 0.1) -> Any:
    """Probe until something true comes, and return it; AssertionError after `seconds`.

    `what`: what is waited for; a function can say what was seen in its place.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            words = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {seconds:.0f} s in vain: {words}")
        time.sleep(every)


def ready(resource: Object | None) -> Object:
    """The Ready condition of a CodeSession, or an empty one."""
    conditions = ((resource or {}).get("status") or {}).get("conditions") or []
    found: Object = next((each for each in conditions if each["type"] == "Ready"), {})
    return found


class Session:
    """One session of organisation `demo`."""

    def __init__(self, client: Client, kubectl: Kubectl, session_id: str) -> None:
        self.id = session_id
        self.name = session_id.replace("_", "-", 1)
        self.pod = self.name.replace("cs-", "ws-", 1)
        self._client = client
        self._kubectl = kubectl
        self.seen = 0
        self.seqs: list[int] = []

    @property
    def path(self) -> str:
        return f"{BASE}/{self.id}"

    def get(self) -> Object:
        return self._client.must("GET", self.path)

    def resource(self) -> Object:
        found = self._kubectl.get("codesession", self.name)
        assert found is not None, f"{self.name} is gone"
        return found

    def type(self, text: str) -> Object:
        return self._client.must("POST", f"{self.path}/input", {"text": text}, prefer="wait=30")

    def try_page(self, *, wait: int = 2) -> tuple[int, Object]:
        """The next output, in order, as status and body; remembers how far it has read."""
        status, answer = self._client.call("GET", f"{self.path}/output?afterSeq={self.seen}", prefer=f"wait={wait}")
        if status == 200:
            self._note(answer)
        return status, answer

    def page(self, *, wait: int = 2) -> Object:
        """As `try_page`, but anything other than 200 is a failure."""
        answer = self._client.must("GET", f"{self.path}/output?afterSeq={self.seen}", prefer=f"wait={wait}")
        self._note(answer)
        return answer

    def _note(self, answer: Object) -> None:
        self.seqs += [chunk["seq"] for chunk in answer["chunks"]]
        self.seen = answer["chunks"][-1]["seq"] if answer["chunks"] else self.seen

    def read_until(self, marker: str, *, seconds: float = 240) -> str:
        """Read on until `marker` was seen; returns all that came meanwhile."""
        text, deadline = "", time.monotonic() + seconds
        while marker not in text:
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{marker!r} did not come within {seconds:.0f} s; the end of what came: {text[-2000:]!r}"
                )
            text += "".join(chunk["text"] for chunk in self.page()["chunks"])
        return text

    def run_out(self, *markers: str, seconds: float = 240) -> str:
        """Read on until every marker was seen; returns all that came meanwhile."""
        text, deadline = "", time.monotonic() + seconds
        while not all(marker in text for marker in markers):
            assert time.monotonic() < deadline, f"{markers} did not come: {text[-500:]!r}"
            text += "".join(chunk["text"] for chunk in self.page()["chunks"])
        return text

    def run(self, command: str, *, seconds: float = 240) -> str:
        """Type a command and return what it printed."""
        token = f"{time.monotonic_ns():x}"
        self.type(f"echo be''gin{token}; {command}; echo e''nd{token}\n")
        text = self.read_until(f"end{token}", seconds=seconds)
        return text.partition(f"begin{token}")[2].partition(f"end{token}")[0].replace("\r\n", "\n").strip("\n")

    def until_phase(self, *phases: str, seconds: float = 240) -> Object:
        """Wait for a status of the REST API; returns the session."""
        seen: Object = {}

        def probe() -> bool:
            seen.update(self.get())
            return seen["status"] in phases

        until(lambda: f"{self.id} is {' or '.join(phases)}; it is {json.dumps(seen)}", probe, seconds=seconds)
        return seen

    def until_known(self, *, seconds: float = 120) -> None:
        """Wait until the REST API has heard of all that kubectl shows: which pod is the session's, for one."""
        seen: list[Object] = []

        def probe() -> bool:
            resource, found = self.resource(), self.get()
            condition, status = ready(resource), resource.get("status") or {}
            told = {"reason": condition.get("reason"), "message": condition.get("message")}
            seen[:] = [told | {"updatedAt": status.get("updatedAt")}, found]
            return seen[0].items() <= found.items()

        until(lambda: f"the API shows of {self.id} what kubectl does: {json.dumps(seen)}", probe, seconds=seconds)

    def until_reason(self, *reasons: str, seconds: float = 240) -> Object:
        """Wait for a reason of the Ready condition, as kubectl shows it; returns the condition."""
        seen: Object = {}

        def probe() -> bool:
            seen.update(ready(self._kubectl.get("codesession", self.name)))
            return seen.get("reason") in reasons

        words = lambda: f"{self.name} has reason {' or '.join(reasons)}; it has {json.dumps(seen)}"  # noqa: E731
        until(words, probe, seconds=seconds)
        return seen


class Sessions:
    """Makes sessions and remembers them."""

    def __init__(self, client: Client, kubectl: Kubectl) -> None:
        self.names: list[str] = []
        self._client = client
        self._kubectl = kubectl

    def create(self, project: str = "e2e", *, wait: bool = True) -> Session:
        """By REST."""
        body = {"projectName": project, "projectDescription": "made by a test"}
        answer = self._client.must("POST", BASE, body, prefer="wait=60" if wait else None)
        session = self.adopt(answer["sessionId"])
        if wait:
            assert answer["status"] in {"creating", "running"}, answer
            session.until_phase("running")
        return session

    def apply(self, name: str, **spec: Any) -> Session:
        """By kubectl."""
        metadata = {"name": name}
        spec = {"projectName": "e2e", **spec}
        resource = {
            "apiVersion": "codesessions.dev/v1alpha1",
            "kind": "CodeSession",
            "metadata": metadata,
            "spec": spec,
        }
        session = self.adopt(name.replace("-", "_", 1))
        self._kubectl.apply(resource)
        return session

    def adopt(self, session_id: str) -> Session:
        """Take over a session that somebody else made."""
        session = Session(self._client, self._kubectl, session_id)
        self.names.append(session.name)
        return session

    def remove(self, *, wait: bool = True) -> None:
        """Delete the records; children go with them. A pod whose shell has just ended stays for up to a minute."""
        if self.names:
            self._kubectl("delete", "codesession", "--ignore-not-found", "--wait=false", *self.names)
        if self.names and wait:
            pods = [name.replace("cs-", "ws-", 1) for name in self.names]
            self._kubectl("wait", "--for=delete", "--timeout=240s", *(f"pod/{pod}" for pod in pods))
        self.names.clear()
