"""kubectl, as a person at a shell would use it."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_dev.layout import tool
from codesessions_dev.shell import run

BUSY = (
    *("etcdserver: ", "context deadline exceeded", "Client.Timeout", "TLS handshake timeout", "i/o timeout"),
    *("(ServiceUnavailable)", "(Timeout)", "(TooManyRequests)", "connection reset by peer", "unexpected EOF"),
)
"""What says that another try may do."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with a kubeconfig and a namespace."""

    kubeconfig: Path
    namespace: str

    def _argv(self, words: tuple[str, ...]) -> list[str]:
        return [str(tool("kubectl")), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *words]

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        """Run it and return what it printed; DevError with its words if it failed."""
        return run(self._argv(words), stdin=stdin).stdout

    def tries(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it, whatever comes of it."""
        return run(self._argv(words), stdin=stdin, check=False)

    def patiently(self, *words: str, stdin: str | None = None) -> str:
        """As a call, of what may be done twice: again for a minute while the API server, or its etcd, is too busy."""
        deadline = time.monotonic() + 60
        while True:
            answer = self.tries(*words, stdin=stdin)
            if answer.returncode == 0:
                return answer.stdout
            busy = any(each in answer.stderr for each in BUSY)
            if not busy or time.monotonic() > deadline:
                raise AssertionError(f"kubectl {' '.join(words)}: {answer.stderr}")
            time.sleep(1)

    def apply(self, *objects: dict[str, Any]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.patiently("apply", "-f", "-", stdin=json.dumps(items))

    def refusal(self, body: dict[str, Any]) -> str:
        """Why the API server would not take an object (dry run); empty if it would."""
        answer = self.tries("create", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
        return answer.stderr if answer.returncode else ""

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object, or None if there is none."""
        answer = self.patiently("get", kind, name, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] | None = json.loads(answer) if answer.strip() else None
        return found

    def list(self, kind: str, *words: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.patiently("get", kind, "-o", "json", *words))["items"]
        return items

    def ready_pods(self, *words: str) -> set[str]:
        """The uids of those that are Ready and not on their way out."""
        return {
            pod["metadata"]["uid"]
            for pod in self.list("pods", *words)
            if "deletionTimestamp" not in pod["metadata"]
            and ("Ready", "True") in {(each["type"], each["status"]) for each in pod["status"].get("conditions") or ()}
        }

    def wait(self, what: str, condition: str, *, seconds: int = 120) -> None:
        """`kubectl wait --for=CONDITION WHAT`; DevError if it does not come."""
        self("wait", f"--for={condition}", what, f"--timeout={seconds}s")

    def describe(self, name: str) -> str:
        """All that a person would look at when the session `name` does not do what it should; the cause comes last."""
        pod = name.replace("cs-", "ws-", 1)
        system = ("-n", "codesessions-system", "logs", "--prefix")
        operator = self.tries(*system, "-l", "app.kubernetes.io/component=operator", "--tail=2000").stdout
        parts = [
            self.tries(*system, "-l", "app.kubernetes.io/name=codesessions", "--tail=20"),
            self.tries("logs", pod, "--all-containers", "--tail=40", "--prefix"),
            self.tries("describe", "pod", pod),
            self.tries("get", "events", "--sort-by=.lastTimestamp", f"--field-selector=involvedObject.name={name}"),
            self.tries("get", "codesession", name, "-o", "yaml"),
            self.tries("get", "pod", pod, "-o", "jsonpath={.status}"),
        ]
        about = [line for line in operator.splitlines() if f"/{name}" in line][-20:]
        return "\n".join([*(part.stdout + part.stderr for part in parts), *about])
