"""A Kubernetes API server of one's own, with etcd and nothing else, for what must not be done to a shared cluster.

Objects are real, admission, RBAC and audit too; nothing runs pods.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesessions_dev.local.binaries import GROUPS, build
from codesessions_dev.shell import run, wait_until

from support.faults import stopped
from support.kubectl import Kubectl

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


def free_port() -> int:
    """A TCP port of loopback that nobody uses now, outside the range from which connections get theirs (ip(7))."""
    while True:
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class Call:
    """A request that a service account made: the verb and resource that RBAC decides by, and the answer's code."""

    account: str
    verb: str
    resource: str
    name: str
    code: int


@dataclass
class ControlPlane:
    """etcd and kube-apiserver in a folder."""

    folder: Path
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    def kubectl(self, namespace: str = "default") -> Kubectl:
        return Kubectl(self.kubeconfig, namespace)

    def start(self) -> None:
        """Returns when requests are answered and the roles that every cluster has are there."""
        programs = build(next(group for group in GROUPS if group.name == "cluster"))
        client, peer, port = (free_port() for _ in range(3))
        etcd, token = f"http://127.0.0.1:{client}", secrets.token_hex(16)
        key = self.folder / "service-account.key"
        run(["openssl", "genrsa", "-out", key, "2048"])
        (self.folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        (self.folder / "audit.json").write_text(json.dumps(AUDIT_POLICY))
        self._server = f"https://127.0.0.1:{port}"
        self._write_kubeconfig(self.kubeconfig, token)
        self._spawn(
            "etcd",
            [
                programs / "server",
                f"--data-dir={self.folder}/etcd",
                "--unsafe-no-fsync",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-cluster=default=http://127.0.0.1:{peer}",
                "--log-level=warn",
            ],
        )
        self._spawn(
            "apiserver",
            [
                programs / "kube-apiserver",
                f"--etcd-servers={etcd}",
                f"--cert-dir={self.folder}/pki",
                "--bind-address=127.0.0.1",
                "--advertise-address=192.0.2.1",  # TEST-NET-1 (RFC 5737): loopback is refused, nobody connects to it
                f"--secure-port={port}",
                "--authorization-mode=RBAC",
                f"--token-auth-file={self.folder}/tokens.csv",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                f"--audit-policy-file={self.folder}/audit.json",
                f"--audit-log-path={self.folder}/audit.log",
                "--shutdown-delay-duration=0s",
            ],
        )
        kubectl = self.kubectl()
        ready = lambda: kubectl.tries("get", "--raw", "/readyz").returncode == 0  # noqa: E731
        wait_until("the API server is not ready", ready, seconds=120, hint=str(self.folder))
        wait_until(
            "there is no namespace default", lambda: kubectl.get("namespace", "default") is not None, seconds=180
        )

    def stop(self) -> None:
        """The API server first: etcd waits for its clients."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextmanager
    def silent(self, part: str) -> Iterator[None]:
        """`etcd` or `apiserver` does not run, with its connections open: the hardest kind of silence."""
        pid = self._processes[("etcd", "apiserver").index(part)].pid
        with stopped(pid):
            yield

    def log_in(self, namespace: str, account: str) -> Path:
        """A kubeconfig for a service account."""
        token = self.kubectl(namespace)("create", "token", account).strip()
        path = self.folder / f"{namespace}.{account}.kubeconfig"
        self._write_kubeconfig(path, token)
        return path

    def calls(self) -> list[Call]:
        """What service accounts have asked for so far (Kubernetes: auditing)."""
        log = self.folder / "audit.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [_call(json.loads(line)) for line in lines if '"objectRef"' in line]

    def _spawn(self, name: str, argv: Sequence[str | Path]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            )

    def _write_kubeconfig(self, path: Path, token: str) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": self._server, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "it", "user": {"token": token}}],
        }
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(config))


def _call(event: dict[str, Any]) -> Call:
    reference = event["objectRef"]
    resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
    return Call(
        account=event["user"]["username"].rpartition(":")[2],
        verb=event["verb"],
        resource=resource,
        name=reference.get("name", ""),
        code=(event.get("responseStatus") or {}).get("code", 0),
    )
