"""Seconds from `POST .../deploy` to the page at its host name: a static site of 20 files, changed and unchanged."""

from __future__ import annotations

import argparse
import http.client
import statistics
import time

from codesessions_dev import envfile
from codesessions_dev.client import Client
from codesessions_dev.page import Pages
from support.app import App
from support.kubectl import Kubectl
from support.session import Sessions


def _served(pages: Pages, url: str, expected: str) -> None:
    while True:
        try:
            status, text = pages.get(url)
        except (OSError, http.client.HTTPException):
            status, text = 0, ""
        if status == 200 and expected in text:
            return
        time.sleep(0.02)


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
        for number in range(times):
            app.write(index__html=f"version {number}")
            begun = time.monotonic()
            build = app.start()
            if not url:
                app.ended(build)
                url = app.get()["url"] + "/"
            _served(pages, url, f"version {number}")
            changed.append(time.monotonic() - begun)
            app.ended(build)
        for _ in range(times):
            begun = time.monotonic()
            app.ended(app.start())
            same.append(time.monotonic() - begun)
        for name, found in (("changed, to the page", changed), ("unchanged, to the end", same)):
            figures = " ".join(f"{each:.2f}" for each in found)
            print(f"{name}: p50 {statistics.median(found):.2f} s, most {max(found):.2f} s   ({figures})")
    finally:
        kubectl("delete", "csapp", app.name, "--ignore-not-found", "--wait=false")
        sessions.remove()


if __name__ == "__main__":
    main()
