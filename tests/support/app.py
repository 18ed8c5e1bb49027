"""An application as the tests use it: deployed through REST, fetched by host name at the ingress."""

from __future__ import annotations

import base64
import http.client
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

    def deploy(self, *, seconds: float = 90) -> Object:
        """Deploy and wait for the end; the Build."""
        return self.ended(self.start(), seconds=seconds)

    def build(self, identity: str) -> Object:
        return self._client.must("GET", f"/api/v1/builds/{identity}")

    def ended(self, identity: str, *, seconds: float = 90) -> Object:
        """A Build once it has ended."""

        def probe() -> Object | None:
            found = self.build(identity)
            return found if found["status"] in FINISHED else None

        found: Object = until(f"{identity} has ended", probe, seconds=seconds)
        return found

    def get(self) -> Object:
        return self._client.must("GET", f"/api/v1/apps/{self.id}")

    def until_status(self, status: str, *, seconds: float = 120) -> Object:
        def probe() -> Object | None:
            found = self.get()
            return found if found["status"] == status else None

        found: Object = until(f"{self.id} is {status}", probe, seconds=seconds)
        return found

    def roll_back(self, revision: int) -> None:
        self._client.must("POST", f"/api/v1/apps/{self.id}/rollback", {"revision": revision})

    def page(self, path: str = "/") -> tuple[int, str]:
        """What the ingress answers; status 0 if it does not."""
        try:
            return self._pages.get(self.get()["url"] + path)
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)

    def until_page(self, expected: str, *, seconds: float = 30) -> str:
        def probe() -> str | None:
            status, text = self.page()
            return text if status == 200 and expected in text else None

        found: str = until(f"the page of {self.id} says {expected!r}", probe, seconds=seconds)
        return found

    def read_log(self, identity: str) -> str:
        return self._client.text(f"/api/v1/builds/{identity}/logs")


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
            thread.join(20)

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
