"""schemathesis against the running API: requests that follow the document, and those that break it in every way.

CODESESSIONS_ATTACKS=full: ten times as many, and sequences of calls (stateful).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks.conftest import GREEN, Organization, lives, organization
from codesessions_dev.envfile import Access
from codesessions_dev.layout import REPO
from support.kubectl import Kubectl
from support.session import Session

FULL = os.environ.get("CODESESSIONS_ATTACKS") == "full"
TOOL = REPO / ".dev" / "attacks" / "bin" / "st"


@pytest.fixture
def green(access: Access) -> Iterator[Organization]:
    """An organisation for whatever is made meanwhile; few of its sessions get a pod."""
    kubectl = Kubectl(access.kubeconfig, GREEN)
    try:
        found = organization(access, GREEN)
        spec = {"hard": {"count/pods": "4", "count/codesessions.codesessions.dev": "500"}}
        kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": spec})
        yield found
    finally:
        kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", GREEN)


@pytest.mark.timeout(1800 if FULL else 900)
def test_the_api_keeps_to_its_document_whatever_comes(
    access: Access, green: Organization, victim: Session, tmp_path: Path
) -> None:
    """All checks of schemathesis: statuses, types, headers, bodies as documented; keys asked for, nonsense refused."""
    assert TOOL.exists(), "run dev/attacks first"
    answer = subprocess.run(
        [
            TOOL,
            f"--config-file={Path(__file__).parent / 'schemathesis.toml'}",
            "run",
            f"{green.access.url}/openapi.json",
            f"--header=X-API-Key: {green.access.api_key}",
            f"--tls-verify={green.access.ca}",
            "--checks=all",
            # Ingress controllers answer 400 to methods they do not know; that ours is 405 is a unit test's. And a
            # session that was deleted can be read still: it is completed, and its record stays.
            "--exclude-checks=unsupported_method,use_after_free",
            f"--phases=examples,coverage,fuzzing{',stateful' if FULL else ''}",
            f"--max-examples={40 if FULL else 4}",
            "--seed=1",
            "--no-shrink",
            "--continue-on-failure",
            "--generation-database=none",
            "--request-timeout=60",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert answer.returncode == 0, answer.stdout[-12000:] + answer.stderr[-2000:]
    lives(victim)
