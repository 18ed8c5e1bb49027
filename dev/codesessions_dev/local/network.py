"""The network namespace the whole cluster lives in. Nothing in it can reach this machine's networks."""

from __future__ import annotations

from codesessions_dev.layout import Layout
from codesessions_dev.shell import run


def exists(layout: Layout) -> bool:
    """Whether the namespace is there."""
    return layout.netns.exists()


def create(layout: Layout) -> None:
    """Make the namespace: the node's address is on `lo`, and so is the default route (ip-netns(8), ip-route(8))."""
    if not exists(layout):
        run(["ip", "netns", "add", layout.name])
    inside = ["nsenter", f"--net={layout.netns}", "--"]
    run([*inside, "ip", "link", "set", "lo", "up"])
    run([*inside, "ip", "address", "replace", f"{layout.node_ip}/32", "dev", "lo"])
    run([*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.route_localnet=1"])
    run([*inside, "ip", "route", "replace", "default", "dev", "lo", "src", layout.node_ip])


def remove(layout: Layout) -> None:
    """Delete the namespace with all its interfaces and rules, and the folder of namespaces if it was the last."""
    if exists(layout):
        run(["ip", "netns", "delete", layout.name])
    folder = layout.netns.parent
    if folder.is_dir() and not any(folder.iterdir()):
        run(["umount", folder], check=False)
        folder.rmdir()
