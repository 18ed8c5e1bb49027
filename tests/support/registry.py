"""The real registry (distribution) on a port of loopback, which can be stopped and started again."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from codesessions_dev.local.binaries import GROUPS, build
from codesessions_dev.shell import run, wait_until
from codesessions_oci.settings import RegistrySettings

from support.controlplane import free_port

USER, PASSWORD = "tester", "correct horse"
_HTPASSWD = "tester:$2b$04$72dCHnZ00owDPqAyBwCEkOZZ1584ytCN/cbnjnwivQctc/7yUH9.q\n"


def docker_config(host: str, user: str = USER, password: str = PASSWORD) -> dict[str, Any]:
    """What a Secret of type kubernetes.io/dockerconfigjson holds."""
    return {"auths": {host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}


@dataclass
class RealRegistry:
    """A registry in a folder; `auth` is its configuration's part of that name."""

    folder: Path
    auth: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    tls: bool = False
    _process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"localhost:{self.port}" if self.tls else f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}/some/prefix"

    def variables(self, *, user: str = "", password: str = PASSWORD) -> dict[str, str]:
        """The environment of a program that uses it, as a user or as nobody."""
        found = {"CODESESSIONS_REGISTRY_URL": self.url}
        if user:
            path = self.folder / "config.json"
            path.write_text(json.dumps(docker_config(self.host, user, password)))
            found["CODESESSIONS_REGISTRY_AUTH_FILE"] = str(path)
        if self.tls:
            found["CODESESSIONS_REGISTRY_CA_FILE"] = str(self.folder / "tls.crt")
        return found

    def settings(self, *, user: str = "", password: str = PASSWORD) -> RegistrySettings:
        found = RegistrySettings.read(self.variables(user=user, password=password))
        assert found is not None
        return found

    def with_password(self) -> RealRegistry:
        """Ask for a user and a password (RFC 7617)."""
        (self.folder / "htpasswd").write_text(_HTPASSWD)
        self.auth = {"htpasswd": {"realm": "test", "path": str(self.folder / "htpasswd")}}
        return self

    def start(self) -> None:
        """Returns when it answers."""
        program = build(next(group for group in GROUPS if group.name == "addons")) / "registry"
        http: dict[str, Any] = {"addr": f"127.0.0.1:{self.port}", "secret": "of the test"}
        if self.tls:
            make_certificate(self.folder, "tls")
            http["tls"] = {"certificate": f"{self.folder}/tls.crt", "key": f"{self.folder}/tls.key"}
        config = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": f"{self.folder}/store"}, "delete": {"enabled": True}},
            "http": http,
            **({"auth": self.auth} if self.auth else {}),
        }
        path = self.folder / "registry.json"
        path.write_text(json.dumps(config))
        with (self.folder / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "serve", path],
                env={"OTEL_TRACES_EXPORTER": "none"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until("the registry does not listen", self._listens, seconds=120, hint=str(self.folder))

    def stop(self) -> None:
        """It can be started again, with what it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def collect(self) -> str:
        """Collect the garbage as the chart does it, while it is stopped; what that said."""
        assert self._process is None, "it must not run"
        program = build(next(group for group in GROUPS if group.name == "addons")) / "registry"
        return run([program, "garbage-collect", "--delete-untagged", self.folder / "registry.json"]).stdout

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(each.stat().st_size for each in (self.folder / "store").rglob("*") if each.is_file())

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "registry.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def make_certificate(folder: Path, name: str) -> None:
    """A self-signed certificate for localhost, and its key, in PEM."""
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *names])


class TokenServer:
    """Gives the tokens that a registry sends its clients for (Docker: token authentication). A context manager."""

    ISSUER, SERVICE = "tokens of the test", "registry of the test"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.asked: list[list[str]] = []
        """The scopes of every request."""
        self.life = 300
        make_certificate(folder, "tokens")
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> TokenServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def auth(self) -> dict[str, Any]:
        """What the registry's configuration says of it."""
        realm = f"http://127.0.0.1:{self.port}/token"
        bundle = f"{self.folder}/tokens.crt"
        return {"token": {"realm": realm, "service": self.SERVICE, "issuer": self.ISSUER, "rootcertbundle": bundle}}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(request.path).query)
        self.asked.append(query.get("scope", []))
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        known = request.headers.get("Authorization") == wanted
        body = json.dumps({"token": self._token(query), "expires_in": self.life}).encode() if known else b"{}"
        request.send_response(200 if known else 401)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _token(self, query: dict[str, list[str]]) -> str:
        access = []
        for scope in query.get("scope", []):
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        lines = (self.folder / "tokens.crt").read_text().splitlines()
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        claims = {"iss": self.ISSUER, "sub": USER, "aud": query["service"], "access": access}
        claims |= {"exp": now + self.life, "nbf": now - 10, "iat": now, "jti": str(now)}
        signed = b".".join(_b64(json.dumps(each).encode()) for each in (head, claims))
        sign = ["openssl", "dgst", "-sha256", "-sign", self.folder / "tokens.key"]
        signature = subprocess.run(sign, input=signed, capture_output=True, check=True).stdout
        return b".".join((signed, _b64(signature))).decode()


def _b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
