"""`codesessions`: organisations and API keys, with the kubeconfig at hand."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from codesessions_crds.apikey import Scope
from codesessions_crds.credentials import NewKey, new_api_key
from codesessions_kube.client import KubeClient, connect
from codesessions_kube.errors import KubeError, NotFoundError

from codesessions_cli import keys, orgs, quotas, words
from codesessions_cli.orgs import RefusedError

_EPILOG = """\
The cluster is the one of KUBECONFIG, or ~/.kube/config.
exit codes: 0 done, 1 refused or not reachable, 2 words that are off
"""
Command = Callable[[KubeClient, argparse.Namespace], Awaitable[None]]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="codesessions",
        description="Organisations and API keys of Code Sessions.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = made.add_subparsers(required=True, metavar="org|keys")
    org = groups.add_parser("org", help="organisations: labelled namespaces").add_subparsers(
        required=True, metavar="create|list"
    )
    create = _command(org, "create", _org_create, "make a namespace an organisation; safe to repeat")
    create.add_argument("name", type=words.organization, help="the namespace; the organisation is org_NAME")
    limits = create.add_argument_group(
        "limits", "Of all that is in it; `none` takes one away, those that are not named stay as they are."
    )
    limits.add_argument("--max-sessions", dest="sessions", type=words.count, metavar="20", help="with ended ones")
    limits.add_argument("--max-apps", dest="apps", type=words.count, metavar="5", help="applications")
    limits.add_argument("--cpu", type=words.quantity, metavar="8", help="that pods ask for")
    limits.add_argument("--memory", type=words.quantity, metavar="16Gi", help="that pods ask for")
    limits.add_argument("--storage", type=words.quantity, metavar="100Gi", help="of volumes")
    _output(create)
    _output(_command(org, "list", _org_list, "list organisations, with what they use of what they may"))
    _add_keys(groups)
    return made


def _add_keys(groups: Any) -> None:
    made = groups.add_parser("keys", help="API keys").add_subparsers(
        required=True, metavar="create|list|revoke|rotate|generate"
    )
    create = _command(made, "create", _keys_create, "make a key; it is shown once")
    _place(create, required=True)
    _new_key(create)
    _output(create)
    listing = _command(made, "list", _keys_list, "list keys, never their texts; of all organisations if none is named")
    _place(listing, required=False)
    _output(listing)
    revoke = _command(made, "revoke", _keys_revoke, "make a key stop working at once")
    revoke.add_argument("name", type=words.label, help="the APIKey's name, csk-...")
    _place(revoke, required=False)
    _output(revoke)
    rotate = _command(made, "rotate", _keys_rotate, "make a key in another's place, with its user, scopes and end")
    rotate.add_argument("name", type=words.label, help="the APIKey that is replaced, csk-...")
    _place(rotate, required=False)
    rotate.add_argument("--overlap", type=words.duration, metavar="1h", help="how long the old one still works")
    rotate.add_argument("--expires-in", type=words.duration, metavar="30d", help="m, h or d; default: as the old one")
    _output(rotate)
    text = "make a key apart from any cluster: the key on standard error, its APIKey on standard output"
    generate = _command(made, "generate", None, text)
    generate.add_argument("--namespace", type=words.namespace, help="put into the APIKey")
    _new_key(generate)


def _command(group: Any, name: str, command: Command | None, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = group.add_parser(name, help=text, description=text)
    made.set_defaults(command=command)
    return made


def _place(command: argparse.ArgumentParser, *, required: bool) -> None:
    place = command.add_mutually_exclusive_group(required=required)
    place.add_argument("--org", metavar="NAME", type=words.label, help="the organisation, as demo or org_demo")
    place.add_argument("--namespace", metavar="NAME", type=words.namespace, help="its namespace")


def _new_key(command: argparse.ArgumentParser) -> None:
    every = [scope.value for scope in Scope]
    command.add_argument("--user", required=True, type=words.user, help="whose key it is; sessions made with it too")
    command.add_argument("--scopes", type=words.scopes, default=every, help="separated by commas; default: all")
    command.add_argument("--expires-in", type=words.duration, metavar="30d", help="m, h or d; default: never")
    command.add_argument(
        "--rate-limit",
        type=words.rate_limit,
        action="append",
        default=[],
        metavar="reads=100/10s",
        help="in place of the installation's; reads, writes or creates; may be repeated",
    )
    command.add_argument("--description", type=words.description, default="", help="what it is for")


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", choices=("text", "json"), default="text")


def _show(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


async def _namespace(client: KubeClient, options: argparse.Namespace) -> str | None:
    namespace: str | None = options.namespace
    return await orgs.namespace_of(client, options.org) if options.org else namespace


async def _org_create(client: KubeClient, options: argparse.Namespace) -> None:
    await orgs.create(client, options.name)
    wanted = {name: value for name in quotas.RESOURCES if (value := getattr(options, name)) is not None}
    hard = await quotas.limit(client, options.name, wanted) if wanted else None
    if options.output == "json":
        more = {} if hard is None else {"hard": hard}
        _show({"namespace": options.name, "organizationId": f"org_{options.name}", **more})
        return
    sys.stdout.write(f"namespace {options.name} is organisation org_{options.name}\n")
    for resource, value in sorted((hard or {}).items()):
        sys.stdout.write(f"  {resource}: at most {value}\n")


async def _org_list(client: KubeClient, options: argparse.Namespace) -> None:
    found, used = await orgs.listing(client), await quotas.use(client)
    if used is None:
        sys.stderr.write("what they use cannot be shown: listing resourcequotas is forbidden\n")
    if options.output == "json":
        _show(
            [
                {
                    "namespace": namespace,
                    "organizationId": organization,
                    "quota": None if used is None else used.get(namespace, {}),
                }
                for namespace, organization in found
            ]
        )
        return
    rows = [
        (namespace, organization, *(_used((used or {}).get(namespace, {}).get(name)) for name in quotas.RESOURCES))
        for namespace, organization in found
    ]
    _table([("NAMESPACE", "ORGANIZATION", *(name.upper() for name in quotas.RESOURCES)), *rows])


def _used(quota: dict[str, str] | None) -> str:
    return f"{quota['used']}/{quota['hard']}" if quota else "-"


async def _keys_create(client: KubeClient, options: argparse.Namespace) -> None:
    namespace = await _namespace(client, options)
    assert namespace is not None  # noqa: S101 - the parser asks for one
    key = new_api_key()
    body = _manifest(key, options)
    await keys.create(client, namespace, body)
    _show_key(key, namespace, body, options)


def _manifest(key: NewKey, options: argparse.Namespace, *, namespace: str | None = None) -> dict[str, Any]:
    """The APIKey that the words ask for."""
    return keys.manifest(
        key,
        user=options.user,
        scopes=options.scopes,
        description=options.description,
        expires=options.expires_in,
        rate_limits=dict(options.rate_limit),
        namespace=namespace,
    )


def _show_key(key: NewKey, namespace: str, body: Any, options: argparse.Namespace) -> None:
    name = body["metadata"]["name"]
    if options.output == "json":
        _show({"name": name, "namespace": namespace, "key": key.text, "expiresAt": body["spec"].get("expiresAt")})
        return
    sys.stdout.write(f"{key.text}\n")
    sys.stderr.write(f"This is {name} of {namespace}. Keep it: it is not shown again.\n")


async def _keys_list(client: KubeClient, options: argparse.Namespace) -> None:
    found = await keys.listing(client, await _namespace(client, options))
    if options.output == "json":
        _show(found)
        return
    names = ("NAMESPACE", "NAME", "USER", "SCOPES", "STATE", "EXPIRES")
    rows = [
        (
            each["namespace"],
            each["name"],
            each["userId"],
            ",".join(each["scopes"]),
            each["state"],
            each["expiresAt"] or "never",
        )
        for each in found
    ]
    _table([names, *rows])


async def _keys_revoke(client: KubeClient, options: argparse.Namespace) -> None:
    namespace = await keys.revoke(client, await _namespace(client, options), options.name)
    if options.output == "json":
        _show({"name": options.name, "namespace": namespace, "state": "revoked"})
        return
    sys.stdout.write(f"{options.name} of {namespace} is revoked\n")


async def _keys_rotate(client: KubeClient, options: argparse.Namespace) -> None:
    old = await keys.find(client, await _namespace(client, options), options.name)
    key, namespace = new_api_key(), old["metadata"]["namespace"]
    body = keys.successor(old, key, expires=options.expires_in)
    await keys.create(client, namespace, body)
    _show_key(key, namespace, body, options)  # first: whatever comes of the old one, this is not shown again
    await keys.retire(client, old, options.overlap)


def _keys_generate(options: argparse.Namespace) -> None:
    key = new_api_key()
    body = _manifest(key, options, namespace=options.namespace)
    sys.stderr.write(f"{key.text}\nKeep it: only its hash is in the manifest.\n")
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


async def _run(options: argparse.Namespace) -> None:
    async with await connect() as client:
        await options.command(client, options)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit code 1 if it was refused or the cluster cannot be reached, 2 for words that are off."""
    options = parser().parse_args(arguments)
    if options.command is None:
        _keys_generate(options)
        return
    try:
        asyncio.run(_run(options))
    except NotFoundError as error:
        hint = "" if error.details.get("name") else " (are the definitions of Code Sessions installed?)"
        _fail(f"{error.message}{hint}")
    except KubeError as error:
        _fail(error.message)
    except RefusedError as error:
        _fail(str(error))
    except (OSError, ValueError) as error:
        _fail(f"the kubeconfig cannot be read: {error}")
    except Exception as error:
        if type(error).__name__ != "ConfigException":  # of the kubernetes package, which is imported late
            raise
        _fail(f"no cluster: {error}")


def _fail(text: str) -> None:
    sys.stderr.write(f"error: {text}\n")
    sys.exit(1)


if __name__ == "__main__":
    main()
