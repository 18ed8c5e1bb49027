"""Seconds from `POST .../deploy` to the page at its host name: a static site of 20 files, changed and unchanged.

What is the cluster's is told from what is ours: the cluster's are the build pod until the builder speaks and after it
is done (scheduling, volumes, container start, the kubelet's report), and the rollout (scheduling, image pull, container
start, readiness). Ours is the rest: the request, archiving, the builder's own seconds, and the way to the ingress.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import threading
import time

from codesessions_dev import envfile
from codesessions_dev.client import Client
from codesessions_dev.page import Pages
from support.app import FINISHED, App
from support.kubectl import Kubectl
from support.session import Sessions, until


def _served(pages: Pages, url: str, expected: str) -> None:
    while True:
        try:
            status, text = pages.get(url)
        except (OSError, http.client.HTTPException):
            status, text = 0, ""
        if status == 200 and expected in text:
            return
        time.sleep(0.02)


class Watch(threading.Thread):
    """Looks at a Build again and again, and notes when it was seen in which phase: its own times are whole seconds."""

    def __init__(self, app: App, build: str) -> None:
        super().__init__(daemon=True)
        self._app, self._build = app, build
        self.seen: dict[str, float] = {}
        self.start()

    def run(self) -> None:
        while not self.seen.keys() & FINISHED:
            self.seen.setdefault(self._app.build(self._build)["status"], time.monotonic())
            time.sleep(0.03)

    def parts(self, begun: float, total: float) -> dict[str, float]:
        """Seconds of a deploy that began at `begun` and took `total`, by whose they are."""
        self.join(60)
        # A phase that was over before it was seen took no time.
        rolled = self.seen["succeeded"]
        rolling = self.seen.get("rolling_out", rolled)
        building = self.seen.get("building", rolling)
        builder = min(until("its log is kept", self._done), rolling - building)
        pod, rollout = rolling - building - builder, min(rolled, begun + total) - rolling
        return {
            "request and archiving": building - begun,
            "the builder": builder,
            "the build pod besides (not ours)": pod,
            "the rollout (not ours)": rollout,
            "ours altogether": total - pod - rollout,
        }

    def _done(self) -> float | None:
        """Seconds that the builder needed, by its own clock; None before its log is there to its end."""
        found = re.search(r"^==> \[ *([\d.]+) s\] Done", self._app.read_log(self._build), re.MULTILINE)
        return float(found[1]) if found else None


def main() -> None:
    """Print the times of each deploy and their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how many changed and how many unchanged deploys")
    times = parser.parse_args().times
    access = envfile.read()
    if access is None:
        raise SystemExit("there is no .dev/env: run `make install` first")
    client, kubectl, pages = Client(access), Kubectl(access.kubeconfig, "demo"), Pages(access)
    sessions = Sessions(client, kubectl)
    app = App(client, pages, sessions.create("bench"))
    try:
        app.session.run("for n in $(seq 19); do head -c 2000 /dev/urandom | base64 > page$n.html; done")
        url, changed, same = "", [], []
        parts: list[dict[str, float]] = []
        for number in range(times):
            app.write(index__html=f"version {number}")
            begun = time.monotonic()
            build = app.start()
            watch = Watch(app, build)
            if not url:
                app.ended(build)
                url = app.get()["url"] + "/"
            _served(pages, url, f"version {number}")
            changed.append(time.monotonic() - begun)
            app.ended(build)
            parts.append(watch.parts(begun, changed[-1]))
        for _ in range(times):
            begun = time.monotonic()
            app.ended(app.start())
            same.append(time.monotonic() - begun)
        rows = [("changed, to the page", changed)]
        rows += [(f"  of that {name}", [each[name] for each in parts]) for name in parts[0]]
        rows.append(("unchanged, to the end", same))
        for name, found in rows:
            figures = " ".join(f"{each:.2f}" for each in found)
            print(f"{name}: p50 {statistics.median(found):.2f} s, most {max(found):.2f} s   ({figures})")
    finally:
        kubectl("delete", "csapp", app.name, "--ignore-not-found", "--wait=false")
        sessions.remove()


if __name__ == "__main__":
    main()
