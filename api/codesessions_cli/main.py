"""`codesessions`: organisations and API keys, with the kubeconfig at hand."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from codesessions_crds.apikey import Scope
from codesessions_crds.credentials import NewKey, new_api_key
from codesessions_crds.names import API_VERSION, CLI_MANAGER, ORGANIZATION_LABEL
from codesessions_kube.client import HttpKubeClient, connect
from codesessions_kube.errors import KubeError
from codesessions_kube.kinds import API_KEY, NAMESPACE

Object = dict[str, Any]
_UNITS = {"m": 60, "h": 3600, "d": 86400}


class UsageError(Exception):
    """The words of the command are off."""


def duration(text: str) -> timedelta:
    """`30d`, `12h`, `15m`. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 30d, 12h or 15m")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def key_resource(key: NewKey, user: str, scopes: list[str], expires: timedelta | None) -> Object:
    """The APIKey that lets `key` in."""
    spec: Object = {"hash": key.hash, "scopes": scopes, "userId": user}
    if expires is not None:
        spec["expiresAt"] = (datetime.now(UTC) + expires).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": f"csk-{key.id}"}
    return {"apiVersion": API_VERSION, "kind": API_KEY.kind, "metadata": metadata, "spec": spec}


def _scopes(text: str) -> list[str]:
    wanted = [word.strip() for word in text.split(",") if word.strip()]
    known = {scope.value for scope in Scope}
    unknown = [word for word in wanted if word not in known]
    if unknown or not wanted:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(sorted(known))}")
    return wanted


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="codesessions", description=__doc__)
    groups = made.add_subparsers(dest="group", required=True)
    org = groups.add_parser("org", help="organisations: labelled namespaces").add_subparsers(
        dest="command", required=True
    )
    create_org = org.add_parser("create", help="make a namespace an organisation; safe to repeat")
    create_org.add_argument("name", help="the namespace; the organisation is org_NAME")
    org.add_parser("list", help="list organisations")
    keys = groups.add_parser("keys", help="API keys").add_subparsers(dest="command", required=True)
    for name, text in (
        ("create", "make a key; it is shown once"),
        ("generate", "make a key and print its APIKey, apart from any cluster"),
    ):
        command = keys.add_parser(name, help=text)
        command.add_argument("--user", required=True, help="whose key it is")
        command.add_argument(
            "--scopes", type=_scopes, default=[scope.value for scope in Scope], help="separated by commas; default: all"
        )
        command.add_argument("--expires-in", type=duration, help="for instance 30d; default: never")
        if name == "create":
            command.add_argument(
                "--org", "--namespace", dest="namespace", required=True, help="the organisation's namespace"
            )
            command.add_argument("-o", "--output", choices=("text", "json"), default="text")
    listing = keys.add_parser("list", help="list keys, never their texts")
    listing.add_argument("--org", "--namespace", dest="namespace", required=True)
    revoke = keys.add_parser("revoke", help="make a key stop working at once")
    revoke.add_argument("name", help="the APIKey's name, csk-...")
    revoke.add_argument("--org", "--namespace", dest="namespace", required=True)
    return made


async def _org_create(client: HttpKubeClient, options: argparse.Namespace) -> None:
    labels = {
        ORGANIZATION_LABEL: f"org_{options.name}",
        "pod-security.kubernetes.io/enforce": "restricted",
    }
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": options.name, "labels": labels}}
    await client.apply(NAMESPACE, None, body, manager=CLI_MANAGER)
    sys.stdout.write(f"namespace {options.name} is organisation org_{options.name}\n")


async def _org_list(client: HttpKubeClient, _: argparse.Namespace) -> None:
    items, _version = await client.list(NAMESPACE, selector=ORGANIZATION_LABEL)
    for item in items:
        sys.stdout.write(f"{item['metadata']['name']}\t{item['metadata']['labels'][ORGANIZATION_LABEL]}\n")


async def _keys_create(client: HttpKubeClient, options: argparse.Namespace) -> None:
    key = new_api_key()
    resource = key_resource(key, options.user, options.scopes, options.expires_in)
    await client.create(API_KEY, options.namespace, resource, manager=CLI_MANAGER)
    name = resource["metadata"]["name"]
    if options.output == "json":
        sys.stdout.write(json.dumps({"name": name, "namespace": options.namespace, "key": key.text}) + "\n")
    else:
        sys.stdout.write(f"{key.text}\n")
        sys.stderr.write(f"This is {name} of {options.namespace}. Keep it: it is not shown again.\n")


async def _keys_list(client: HttpKubeClient, options: argparse.Namespace) -> None:
    items, _ = await client.list(API_KEY, options.namespace)
    for item in items:
        spec = item["spec"]
        state = (
            "revoked" if spec.get("disabled") else f"expires {spec['expiresAt']}" if spec.get("expiresAt") else "valid"
        )
        sys.stdout.write(f"{item['metadata']['name']}\t{spec['userId']}\t{','.join(spec['scopes'])}\t{state}\n")


async def _keys_revoke(client: HttpKubeClient, options: argparse.Namespace) -> None:
    await client.patch(API_KEY, options.namespace, options.name, {"spec": {"disabled": True}}, manager=CLI_MANAGER)
    sys.stdout.write(f"{options.name} is revoked\n")


def _keys_generate(options: argparse.Namespace) -> None:
    key = new_api_key()
    sys.stderr.write(f"{key.text}\nKeep it: only its hash is in the manifest.\n")
    sys.stdout.write(json.dumps(key_resource(key, options.user, options.scopes, options.expires_in), indent=2) + "\n")


_COMMANDS = {
    ("org", "create"): _org_create,
    ("org", "list"): _org_list,
    ("keys", "create"): _keys_create,
    ("keys", "list"): _keys_list,
    ("keys", "revoke"): _keys_revoke,
}


async def _run(options: argparse.Namespace) -> None:
    async with await connect() as client:
        await _COMMANDS[options.group, options.command](client, options)


def main() -> None:
    """Entry point. Exit code 1 if the cluster refuses, 2 for words that are off."""
    options = parser().parse_args()
    if (options.group, options.command) == ("keys", "generate"):
        _keys_generate(options)
        return
    try:
        asyncio.run(_run(options))
    except KubeError as error:
        sys.stderr.write(f"error: {error.message}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
