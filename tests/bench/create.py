"""Create -> running, side by side with the same pod made by plain kubectl; and what a session costs in API writes.

The peer is the session's own pod, claim and secret, taken from a session that ran, under another name, made by
`kubectl create`, and timed to `condition=Ready` by `kubectl wait`. The two take turns.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.figures import percentile, summary
from codesessions_dev import envfile
from codesessions_dev.client import BASE, Client
from codesessions_dev.layout import Layout
from support.kubectl import Kubectl
from support.session import Sessions

ROUNDS = 10
OURS = "system:serviceaccount:codesessions-system:"


def writes(audit: Path, since: int) -> Counter[str]:
    """What our own accounts wrote, by `verb resource`, from the API server's audit log after a byte offset."""
    found: Counter[str] = Counter()
    with audit.open("rb") as file:
        file.seek(since)
        for line in file:
            entry = json.loads(line)
            if entry["user"]["username"].startswith(OURS):
                what = entry["objectRef"]
                found[f"{entry['verb']} {'/'.join(filter(None, (what['resource'], what.get('subresource'))))}"] += 1
    return found


def copies(kubectl: Kubectl, pod: str) -> list[dict[str, Any]]:
    """Secret, claim and pod of a session as plain objects that belong to nobody; `NAME` stands for the name."""
    made = []
    for kind in ("secret", "pvc", "pod"):
        source = kubectl.get(kind, pod)
        if source is None:
            continue
        copy = {key: source[key] for key in ("apiVersion", "kind", "spec", "data", "type") if key in source}
        copy["metadata"] = {"name": pod, "labels": {"bench": "plain"}}
        for name in ("nodeName", "volumeName"):
            copy.get("spec", {}).pop(name, None)
        made.append(json.loads(json.dumps(copy).replace(pod, "NAME")))
    return made


def plain(kubectl: Kubectl, templates: list[dict[str, Any]], name: str) -> float:
    """Seconds from `kubectl create` to Ready."""
    items = json.loads(json.dumps(templates).replace("NAME", name))
    begun = time.monotonic()
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    took = time.monotonic() - begun
    kubectl("delete", "pod,pvc,secret", "--selector=bench=plain", "--wait=true", "--grace-period=1")
    return took


def main() -> None:
    """Print the figures."""
    access = envfile.read()
    if access is None:
        raise SystemExit("run `make install` first")
    client, kubectl = Client(access), Kubectl(access.kubeconfig, "demo")
    sessions = Sessions(client, kubectl)
    try:
        templates = copies(kubectl, sessions.create("bench").pod)
        ours, theirs = [], []
        for number in range(ROUNDS):
            body = {"projectName": f"bench {number}", "projectDescription": ""}
            begun = time.monotonic()
            answer = client.must("POST", BASE, body, prefer="wait=60")
            ours.append(time.monotonic() - begun)
            sessions.adopt(answer["sessionId"])
            theirs.append(plain(kubectl, templates, f"plain-{number}"))
            sessions.remove()
        print(summary("create -> running through the ingress", ours))
        print(summary("the same pod by kubectl -> Ready", theirs))
        gap = percentile(ours, 0.5) - percentile(theirs, 0.5)
        print(f"p50 difference: {gap * 1000:+.0f} ms (target: at most +300)")

        audit = Layout().logs / "audit.jsonl"
        begin = audit.stat().st_size
        session = sessions.create("writes")
        client.must("DELETE", session.path)
        kubectl.wait(f"pod/{session.pod}", "delete")
        session.until_phase("completed")
        life = writes(audit, begin)
        print(f"API server writes over a session's life: {life.total()} {dict(life)} (target: at most 10)")
    finally:
        sessions.remove()


if __name__ == "__main__":
    main()
