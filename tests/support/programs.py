"""The product's programs as the chart would start them, on a control plane of the tests' own."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

from codesessions_dev.layout import tool

from support.controlplane import ControlPlane, free_port
from support.helm import render


def start(
    plane: ControlPlane, namespace: str, component: str, folder: Path, *, port: int = 0
) -> subprocess.Popen[bytes]:
    """Operator, API or gateway of the release in `namespace`: the chart's environment, and its service account.

    It logs to `COMPONENT.log` in `folder`.
    """
    secret = plane.kubectl(namespace).get("secret", "codesessions-master-key")
    assert secret is not None
    key = folder / "master-key"
    key.write_bytes(base64.b64decode(secret["data"]["master-key"]))
    environment = {
        **os.environ,
        **render(namespace=namespace).environment(component),
        "CODESESSIONS_NAMESPACE": namespace,
        "CODESESSIONS_MASTER_KEY_FILE": str(key),
        "CODESESSIONS_LISTEN": f"127.0.0.1:{port or free_port()}",
        "CODESESSIONS_LOG_FORMAT": "text",
        "KUBECONFIG": str(plane.log_in(namespace, f"codesessions-{component}")),
    }
    with (folder / f"{component}.log").open("ab") as log:
        return subprocess.Popen([tool(f"codesessions-{component}")], env=environment, stdout=log, stderr=log)
