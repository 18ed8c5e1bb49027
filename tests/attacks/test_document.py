"""schemathesis against the running API: requests that follow the document, and those that break it in every way.

CODESESSIONS_ATTACKS=full: ten times as many, and sequences of calls (stateful).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from attacks.conftest import Organization, lives
from codesessions_dev.layout import REPO
from support.session import Session

FULL = os.environ.get("CODESESSIONS_ATTACKS") == "full"
TOOL = REPO / ".dev" / "attacks" / "bin" / "st"


@pytest.mark.timeout(1800 if FULL else 300)
def test_the_api_keeps_to_its_document_whatever_comes(
    red: Organization, blue: Organization, victim: Session, tmp_path: Path
) -> None:
    """All checks of schemathesis: statuses, types, headers, bodies as documented; keys asked for, nonsense refused."""
    assert TOOL.exists(), "run dev/attacks first"
    # No pod of what it creates is started, and there are few of them.
    quota = {"hard": {"count/pods": "4", "count/codesessions.codesessions.dev": "200"}}
    meta = {"name": "attack"}
    blue.kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": quota})
    try:
        answer = subprocess.run(
            [
                TOOL,
                f"--config-file={Path(__file__).parent / 'schemathesis.toml'}",
                "run",
                f"{blue.access.url}/openapi.json",
                f"--header=X-API-Key: {blue.access.api_key}",
                f"--tls-verify={blue.access.ca}",
                "--checks=all",
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
    finally:
        blue.kubectl("delete", "resourcequota", "attack", "--ignore-not-found")
    assert answer.returncode == 0, answer.stdout[-12000:] + answer.stderr[-2000:]
    lives(victim)
