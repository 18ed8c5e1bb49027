"""kubectl, as a person at a shell would use it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesessions_dev.layout import tool
from codesessions_dev.shell import run


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

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object, or None if there is none."""
        answer = self.tries("get", kind, name, "-o", "json", "--ignore-not-found")
        if answer.returncode != 0:
            raise AssertionError(answer.stderr)
        found: dict[str, Any] | None = json.loads(answer.stdout) if answer.stdout.strip() else None
        return found

    def list(self, kind: str, *words: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self("get", kind, "-o", "json", *words))["items"]
        return items

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
