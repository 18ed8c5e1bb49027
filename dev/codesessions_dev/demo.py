"""The demo: a session from `POST` to `DELETE`, through the ingress, on the real cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from codesessions_dev import say
from codesessions_dev.client import BASE, Client
from codesessions_dev.install import install
from codesessions_dev.layout import tool
from codesessions_dev.page import Pages
from codesessions_dev.provider import Provider
from codesessions_dev.shell import run

COMMAND = "echo \"hello from $(hostname), $((6 * 7))\"; id -un; python3 -c 'print(sum(range(10)))'\n"
EXPECTED = "\n45\r\n"


def _show(title: str, answer: dict[str, Any]) -> None:
    say.line(f"\n$ {title}")
    say.line(json.dumps(answer, indent=2, ensure_ascii=False))


def read_until(client: Client, session: str, expected: str, *, seconds: float = 30) -> str:
    """Poll output by sequence number until `expected` was seen; returns all text. Raises DevError."""
    text, after = "", 0
    deadline = time.monotonic() + seconds
    while expected not in text.replace("\x1b[?2004l", "").replace("\x1b[?2004h", ""):
        if time.monotonic() > deadline:
            raise say.DevError(f"{expected!r} did not come within {seconds:.0f} s; what came: {text!r}")
        page = client.must("GET", f"{BASE}/{session}/output?afterSeq={after}", prefer="wait=5")
        text += "".join(chunk["text"] for chunk in page["chunks"])
        after = page["lastSeq"]
    return text


def _write_site(client: Client, session: str, heading: str, marker: str) -> None:
    page = f"<!doctype html><title>demo</title><link rel=stylesheet href=style.css><h1>{heading}</h1>"
    command = f"echo '{page}' > index.html; echo 'h1 {{ color: teal }}' > style.css; echo wri''tten {marker}\n"
    client.must("POST", f"{BASE}/{session}/input", {"text": command})
    read_until(client, session, f"written {marker}")


def _see(client: Client, pages: Pages, app: str, expected: str, *, seconds: float = 30) -> None:
    """The page as it is served, once it is the one that is expected. Raises DevError."""
    url = client.must("GET", f"/api/v1/apps/{app}")["url"] + "/"
    deadline = time.monotonic() + seconds
    while True:
        try:
            status, text = pages.get(url)
        except OSError as error:
            status, text = 0, str(error)
        if status == 200 and expected in text:
            say.line(f"\n$ curl {url}\n{text.strip()}")
            return
        if time.monotonic() > deadline:
            raise say.DevError(f"{url} does not say {expected!r}; it answers {status}: {text[:500]!r}")
        time.sleep(0.05)


def _deployed(client: Client, session: str) -> str:
    begun = time.monotonic()
    answer = client.must("POST", f"{BASE}/{session}/deploy", prefer="wait=60")
    _show(f"POST {BASE}/{session}/deploy   (Prefer: wait=60; {say.elapsed(time.monotonic() - begun)})", answer)
    if answer["status"] != "running":
        raise say.DevError(client.must("GET", f"/api/v1/builds/{answer['buildId']}")["message"])
    return str(answer["appId"])


def _deploy(client: Client, pages: Pages, session: str, kubectl: list[str | Path]) -> None:
    """The last act: a site, its change, and the way back."""
    say.line("\nA site is written in the session, and deployed:")
    _write_site(client, session, "Hello from a session", "first")
    app = _deployed(client, session)
    _see(client, pages, app, "Hello from a session")
    _write_site(client, session, "Hello again", "second")
    _deployed(client, session)
    _see(client, pages, app, "Hello again")
    client.must("POST", f"/api/v1/apps/{app}/rollback", {"revision": 1})
    say.line(f'\n$ POST /api/v1/apps/{app}/rollback {{"revision": 1}}')
    _see(client, pages, app, "Hello from a session")
    say.line("\n$ kubectl --namespace demo get apps.codesessions.dev,builds")
    say.line(run([*kubectl, "get", "apps.codesessions.dev,builds"]).stdout.rstrip())


def demo(provider: Provider) -> None:
    """Everything from a bare machine to a session that was typed into and read. Raises DevError."""
    begun = time.monotonic()
    access = install(provider)
    client = Client(access)
    say.line("\nA session, through the ingress:")
    created_at = time.monotonic()
    created = client.must(
        "POST", BASE, {"projectName": "demo", "projectDescription": "made by `make demo`"}, prefer="wait=60"
    )
    _show(f"POST {BASE}   (Prefer: wait=60; {say.elapsed(time.monotonic() - created_at)})", created)
    session = created["sessionId"]
    _show(f"GET {BASE}/{session}", client.must("GET", f"{BASE}/{session}"))
    kubectl: list[str | Path] = [tool("kubectl"), f"--kubeconfig={provider.kubeconfig}", "--namespace=demo"]
    say.line("\n$ kubectl --namespace demo get codesessions,pods")
    say.line(run([*kubectl, "get", "codesessions,pods"]).stdout.rstrip())
    _show(f"POST {BASE}/{session}/input", client.must("POST", f"{BASE}/{session}/input", {"text": COMMAND}))
    text = read_until(client, session, EXPECTED)
    say.line(f"\n$ GET {BASE}/{session}/output, the text of its chunks:\n{text}")
    _deploy(client, Pages(access), session, kubectl)
    client.must("DELETE", f"{BASE}/{session}")
    _show(f"DELETE {BASE}/{session}, then GET", client.must("GET", f"{BASE}/{session}"))
    say.line(f"\nAll of it took {say.elapsed(time.monotonic() - begun)}. The cluster is left running; to use it:")
    say.line("  . .dev/env")
    say.line(f'  curl --cacert "$CODESESSIONS_CA" -H "X-API-Key: $CODESESSIONS_API_KEY" "$CODESESSIONS_URL{BASE}"')
    say.line("  dev/cluster kubectl get codesessions -A")
    say.line("  make cluster-down   # removes everything again")
