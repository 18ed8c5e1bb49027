"""What `helm test` runs: are the programs there, and, with an API key, does a session work from beginning to end?

On the standard library alone, in the platform's image. Exit code 1, with a line that says why, for what does not work.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
from typing import Any

BASE = "/api/v1/code-sessions"
PAUSE_SECONDS = 1.0
REQUEST_SECONDS = 70.0
"""Longer than the longest wait that a request can ask for (60 s)."""


class SelfTestError(Exception):
    """Something does not work."""


def call(method: str, url: str, key: str = "", body: object = None, *, wait: int = 0) -> tuple[int, str]:
    """One request: status and text. Raises SelfTestError if nobody answers."""
    headers = {"Accept": "application/json"}
    headers |= {"X-API-Key": key} if key else {}
    headers |= {"Prefer": f"wait={wait}"} if wait else {}
    headers |= {"Content-Type": "application/json"} if body is not None else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310 - the chart's own
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:  # noqa: S310
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        raise SelfTestError(f"{method} {url}: {error}") from error


def until_ready(name: str, url: str, deadline: float) -> None:
    """Wait until a program says that it is ready."""
    while True:
        try:
            status, text = call("GET", f"{url}/readyz")
        except SelfTestError as error:
            status, text = 0, str(error)
        if status == 200:
            print(f"{name} is ready", flush=True)
            return
        if time.monotonic() > deadline:
            raise SelfTestError(f"{name} is not ready: {text.strip()}")
        time.sleep(PAUSE_SECONDS)


def asked(method: str, url: str, key: str, body: object = None, *, wait: int = 0) -> dict[str, Any]:
    """A request that must succeed; its JSON."""
    status, text = call(method, url, key, body, wait=wait)
    if not 200 <= status < 300:
        raise SelfTestError(f"{method} {url} answered {status}: {text.strip()}")
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def session_works(api: str, key: str, deadline: float) -> None:
    """Make a session, type, read what the shell says, end it."""
    made = asked("POST", api + BASE, key, {"projectName": "helm test", "projectDescription": "made by helm test"})
    url = f"{api}{BASE}/{made['sessionId']}"
    print(f"{made['sessionId']} was made", flush=True)
    try:
        while (status := asked("GET", url, key)["status"]) != "running":
            if status != "creating":
                raise SelfTestError(f"{made['sessionId']} is {status}")
            if time.monotonic() > deadline:
                raise SelfTestError(f"{made['sessionId']} does not run yet: kubectl get codesessions -A")
            time.sleep(PAUSE_SECONDS)
        token = secrets.token_hex(4)
        asked("POST", f"{url}/input", key, {"text": f"echo {token[:4]}''{token[4:]}\n"}, wait=30)
        text, seq = "", 0
        while token not in text:
            if time.monotonic() > deadline:
                raise SelfTestError(f"the shell did not answer; it printed {text[-300:]!r}")
            page = asked("GET", f"{url}/output?afterSeq={seq}", key, wait=5)
            text += "".join(chunk["text"] for chunk in page["chunks"])
            seq = page["chunks"][-1]["seq"] if page["chunks"] else seq
        print("the shell answers", flush=True)
    finally:
        asked("DELETE", url, key)
    print(f"{made['sessionId']} was ended", flush=True)


def main() -> int:
    """Entry point; addresses, key and seconds come from the environment."""
    names = ("API", "GATEWAY", "OPERATOR")
    urls = {name.lower(): os.environ[f"SELFTEST_{name}_URL"] for name in names}
    key = os.environ.get("SELFTEST_KEY", "").strip()
    deadline = time.monotonic() + float(os.environ["SELFTEST_SECONDS"])
    try:
        for name, url in urls.items():
            until_ready(name, url, deadline)
        if key:
            session_works(urls["api"], key, deadline)
        else:
            print("no key (helmTest.keySecret): no session was made")
    except SelfTestError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
