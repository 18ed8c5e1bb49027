"""`dev/cluster`: a development cluster by one command."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import Layout, Ports, tool
from codesessions_dev.provider import Provider


def choose(name: str | None, layout: Layout) -> Provider:
    """The provider asked for by `--provider` or CODESESSIONS_DEV_PROVIDER, else `local`. Raises DevError."""
    from codesessions_dev.kind import KindCluster
    from codesessions_dev.local.cluster import LocalCluster

    wanted = name or os.environ.get("CODESESSIONS_DEV_PROVIDER") or "local"
    if wanted == "local":
        return LocalCluster(layout)
    if wanted == "kind":
        return KindCluster(layout)
    raise say.DevError(f"there is no provider {wanted!r}: choose local or kind")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev/cluster", description=__doc__)
    parser.add_argument(
        "--provider", choices=("local", "kind"), help="local needs root and no Docker; kind needs Docker"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="make the cluster, or start again what is missing of it")
    commands.add_parser("down", help="remove the cluster and everything it left")
    commands.add_parser("status", help="the state of each part; exit code 1 if something is wrong")
    logs = commands.add_parser("logs", help="the log of one part; without a name, which parts there are")
    logs.add_argument("part", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true")
    kubectl = commands.add_parser("kubectl", help="kubectl against this cluster", add_help=False)
    kubectl.add_argument("arguments", nargs=argparse.REMAINDER)
    load = commands.add_parser("load", help="put the images of an OCI or Docker archive on the node")
    load.add_argument("archive", type=Path)
    commands.add_parser("install", help="build the images, install or upgrade the chart, write .dev/env")
    commands.add_parser("demo", help="the whole story, from a bare machine to a session that is typed into")
    return parser


def _dispatch(options: argparse.Namespace, provider: Provider) -> int:
    if options.command == "up":
        provider.up()
    elif options.command == "down":
        provider.down()
    elif options.command == "status":
        return 0 if provider.status() else 1
    elif options.command == "logs":
        provider.logs(options.part, follow=options.follow)
    elif options.command == "load":
        if not options.archive.is_file():
            raise say.DevError(f"{options.archive} is not a file")
        provider.load(options.archive)
    elif options.command == "kubectl":
        program = str(tool("kubectl"))
        os.execv(program, [program, f"--kubeconfig={provider.kubeconfig}", *options.arguments])  # noqa: S606
    elif options.command == "install":
        from codesessions_dev.install import install

        install(provider)
    elif options.command == "demo":
        from codesessions_dev.demo import demo

        demo(provider)
    return 0


def main() -> None:
    """Entry point. Exit code 1 for what a person must mend, with the reason on standard error."""
    options = _parser().parse_args()
    try:
        provider = choose(options.provider, Layout(ports=Ports.from_environment()))
        sys.exit(_dispatch(options, provider))
    except (say.DevError, ValueError) as error:
        say.complain(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
