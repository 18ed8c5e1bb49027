"""`helm test`: its pod, and what its program does against an API that works, is slow, or does not."""

from __future__ import annotations

import json
import runpy
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from support import podsecurity
from support.helm import CHART, render

KEY = "csk_x_y"


class Api(ThreadingHTTPServer):
    """As much of the REST API as the program asks for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[str, str]] = []
        self.statuses = ["creating", "running"]
        self.ready, self.typed = 200, ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append((self.command, self.path.partition("?")[0]))
        status, answer = self._found(json.loads(body) if body else {})
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(0 if status == 204 else len(text)))
        self.end_headers()
        if status != 204:
            self.wfile.write(text)

    def _found(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        api, path = self.server, self.path.partition("?")[0]
        if path == "/readyz":
            return api.ready, {}
        if self.headers.get("X-API-Key") != KEY:
            return 401, {"code": "invalid_api_key"}
        if self.command == "DELETE":
            return 204, {}
        if path.endswith("/input"):
            api.typed = body["text"]
            return 200, {"sent": True}
        if path.endswith("/output"):
            text = api.typed + api.typed.removeprefix("echo ").replace("''", "")
            return 200, {"chunks": [{"seq": 1, "text": text}]}
        if self.command == "POST":
            return 201, {"sessionId": "cs_one"}
        return 200, {"status": api.statuses.pop(0) if len(api.statuses) > 1 else api.statuses[0]}


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def selftest(api: Api, monkeypatch: pytest.MonkeyPatch, *, key: str = KEY, seconds: float = 20) -> int:
    for name in ("API", "GATEWAY", "OPERATOR"):
        monkeypatch.setenv(f"SELFTEST_{name}_URL", api.url)
    monkeypatch.setenv("SELFTEST_KEY", key)
    monkeypatch.setenv("SELFTEST_SECONDS", str(seconds))
    names = runpy.run_path(str(CHART / "files" / "selftest.py"))
    names["main"].__globals__["PAUSE_SECONDS"] = 0.01
    return int(names["main"]())


def test_a_session_from_beginning_to_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest(api, monkeypatch) == 0
    sessions = "/api/v1/code-sessions"
    assert api.calls == [
        *[("GET", "/readyz")] * 3,
        ("POST", sessions),
        *[("GET", f"{sessions}/cs_one")] * 2,
        ("POST", f"{sessions}/cs_one/input"),
        ("GET", f"{sessions}/cs_one/output"),
        ("DELETE", f"{sessions}/cs_one"),
    ]


def test_without_a_key_nothing_is_made(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert selftest(api, monkeypatch, key="") == 0
    assert set(api.calls) == {("GET", "/readyz")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ready": 503}, "api is not ready"),
        ({"statuses": ["failed"]}, "cs_one is failed"),
        ({"statuses": ["creating"]}, "cs_one does not run yet"),
    ],
)
def test_what_does_not_work_is_said(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    words: str,
) -> None:
    for name, value in change.items():
        setattr(api, name, value)
    assert selftest(api, monkeypatch, seconds=2) == 1
    assert words in capsys.readouterr().err
    if "statuses" in change:
        assert api.calls[-1][0] == "DELETE"


def test_a_wrong_key_is_said(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest(api, monkeypatch, key="csk_other") == 1
    assert "answered 401" in capsys.readouterr().err


def test_the_pod_has_no_power_over_the_cluster() -> None:
    pod = render({"helmTest": {"keySecret": "s"}}).one("Pod", "codesessions-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert podsecurity.violations(pod["spec"]) == []
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod["spec"]
    (container,) = pod["spec"]["containers"]
    (key,) = (each for each in container["env"] if each["name"] == "SELFTEST_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "api-key"}
    without = render().one("Pod", "codesessions-test")["spec"]["containers"][0]["env"]
    assert "SELFTEST_KEY" not in {each["name"] for each in without}


def test_it_asks_services_that_exist_at_their_ports() -> None:
    rendered = render()
    (container,) = rendered.one("Pod", "codesessions-test")["spec"]["containers"]
    urls = {each["name"]: each["value"] for each in container["env"] if each["name"].endswith("_URL")}
    assert len(urls) == 3
    for url in urls.values():
        host, _, port = url.removeprefix("http://").partition(":")
        assert rendered.one("Service", host)["spec"]["ports"][0]["port"] == int(port or 80)


def test_it_can_be_left_out() -> None:
    assert render({"helmTest": {"enabled": False}}).all("Pod") == []
    assert render({"helmTest": {"enabled": False}}).all("ConfigMap") == []
