"""An application as the tests use it: deployed through REST, fetched by host name at the ingress."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from codesessions_dev.client import BASE, Client
from codesessions_dev.page import Pages

from support.session import Session, until

Object = dict[str, Any]
FINISHED = {"succeeded", "failed", "cancelled", "superseded"}


class App:
    """The one App of a session."""

    def __init__(self, client: Client, pages: Pages, session: Session) -> None:
        self.session = session
        self.id = session.id.replace("cs_", "app_", 1)
        self.name = self.id.replace("_", "-", 1)
        self._client, self._pages = client, pages

    def write(self, **files: str) -> None:
        """Files in the workspace; `__` in a name stands for a dot."""
        for name, text in files.items():
            code = base64.b64encode(f"{text}\n".encode()).decode()
            self.session.run(f"echo {code} | base64 -d > '{name.replace('__', '.')}'")

    def start(self, **headers: str) -> str:
        """Begin a deploy; the Build's id. `_` in a header's name stands for `-`."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        status, answer = self._client.call("POST", f"{BASE}/{self.session.id}/deploy", more=more)
        assert status == 200, answer
        assert answer["status"] == "deploying", answer
        assert (answer["sessionId"], answer["appId"]) == (self.session.id, self.id)
        return str(answer["buildId"])

    def deploy(self, *, seconds: float = 180) -> Object:
        """Deploy and wait for the end; the Build."""
        return self.ended(self.start(), seconds=seconds)

    def build(self, identity: str) -> Object:
        return self._client.must("GET", f"/api/v1/builds/{identity}")

    def ended(self, identity: str, *, seconds: float = 180) -> Object:
        """A Build once it has ended. What its App says of that may come a moment later (`until`)."""
        seen: Object = {}

        def probe() -> bool:
            seen.update(self.build(identity))
            return seen["status"] in FINISHED

        until(lambda: f"{identity} has ended; it is {json.dumps(seen)}", probe, seconds=seconds)
        return seen

    def get(self) -> Object:
        return self._client.must("GET", f"/api/v1/apps/{self.id}")

    def until(self, status: str, *, seconds: float = 120, **wanted: Any) -> Object:
        """The App once it has a status, and its fields have the values `wanted`; `message` is a part of the whole.

        App, Build and what serves are objects of their own, and the API hears of each by a watch of its own: whoever
        has seen the one must wait for the other.
        """
        text = wanted.pop("message", "")
        seen: Object = {}

        def probe() -> bool:
            seen.clear()
            seen.update(self.get())
            matches = all(seen[name] == value for name, value in wanted.items())
            return seen["status"] == status and matches and text in (seen["message"] or "")

        until(lambda: f"{self.id} is {status} {wanted} {text}; it is {json.dumps(seen)}", probe, seconds=seconds)
        return seen

    def roll_back(self, revision: int) -> None:
        self._client.must("POST", f"/api/v1/apps/{self.id}/rollback", {"revision": revision})

    def page(self, path: str = "/") -> tuple[int, str]:
        """What the ingress answers; status 0 if it does not, or the App has no URL yet."""
        url = self.get()["url"]
        try:
            return self._pages.get(url + path) if url else (0, "no URL yet")
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)

    def until_page(self, expected: str, *, seconds: float = 120) -> str:
        seen: tuple[int, str] = (0, "")

        def probe() -> bool:
            nonlocal seen
            seen = self.page()
            return seen[0] == 200 and expected in seen[1]

        until(lambda: f"the page of {self.id} says {expected!r}; it says {seen}", probe, seconds=seconds)
        return seen[1]

    def until_log(self, identity: str, *parts: str, seconds: float = 120) -> str:
        """The log of a Build once all parts are in it.

        Between the end of its pod and the moment when the API hears where the log is kept, there is little to read.
        """
        seen = ""

        def probe() -> bool:
            nonlocal seen
            seen = self._client.text(f"/api/v1/builds/{identity}/logs")
            return all(part in seen for part in parts)

        until(lambda: f"the log of {identity} has {parts}; it is {seen[-2000:]!r}", probe, seconds=seconds)
        return seen


class Load:
    """Requests without a pause, by some clients on kept-alive connections, until it is left; counts the answers."""

    def __init__(self, pages: Pages, url: str, *, clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.problems: list[str] = []
        self._pages, self._url = pages, url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        connection: http.client.HTTPSConnection | None = None
        while not self._stop.is_set():
            over = False
            try:
                connection = connection or self._pages.connect(self._url)
                connection.request("GET", urlsplit(self._url).path or "/")
                response = connection.getresponse()
                text = response.read().decode(errors="replace").strip()
                self.answers[text if response.status == 200 else f"HTTP {response.status}"] += 1
                if response.status != 200:
                    self.problems.append(f"HTTP {response.status}: {text[:100]}")
                over = response.will_close
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(repr(error))
                over = True
            if connection is not None and over:
                connection.close()
                connection = None
            time.sleep(0.002)
        if connection is not None:
            connection.close()
