"""What an organisation may have: a ResourceQuota, and a LimitRange for containers that ask for nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from codesessions_crds.names import CLI_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ForbiddenError, NotFoundError
from codesessions_kube.kinds import LIMIT_RANGE, RESOURCE_QUOTA
from codesessions_kube.store import Object

NAME = "codesessions"
NONE = "none"
"""In the place of a quantity: no limit any more."""
RESOURCES = {
    "sessions": "count/codesessions.codesessions.dev",
    "apps": "count/apps.codesessions.dev",
    "cpu": "requests.cpu",
    "memory": "requests.memory",
    "storage": "requests.storage",
}
DEFAULT_REQUEST = {"cpu": "25m", "memory": "64Mi"}
"""As the chart has it for workspaces: a quota of CPU or memory refuses containers that say nothing of theirs."""
_SCALES = {
    "": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_QUANTITY = re.compile(r"([0-9.]+)(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?[0-9]{1,2}))")


def amount(quantity: str) -> Decimal:
    """A quantity as a number. Raises ValueError."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, binary, decimal, exponent = found.groups()
    if binary:
        return Decimal(number) * (1 << _BINARY[binary])
    return Decimal(number).scaleb(int(exponent) if exponent else _SCALES[decimal])


def merged(known: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """`spec.hard` after a command: limits that it names are set or taken away, others stay."""
    changed = {RESOURCES[name]: value for name, value in wanted.items()}
    return {name: value for name, value in {**known, **changed}.items() if value != NONE}


async def limit(client: KubeClient, namespace: str, wanted: Mapping[str, str]) -> dict[str, str]:
    """Set an organisation's limits, by the names of `RESOURCES`; returns all that it has then."""
    try:
        known = (await client.get(RESOURCE_QUOTA, namespace, NAME))["spec"].get("hard") or {}
    except NotFoundError:
        known = {}
    hard = merged(known, wanted)
    if not hard:
        if known:
            await client.delete(RESOURCE_QUOTA, namespace, NAME)
        return {}
    if {"requests.cpu", "requests.memory"} & hard.keys():  # first: a pod that comes in between needs it
        limits = [{"type": "Container", "defaultRequest": DEFAULT_REQUEST}]
        await client.apply(LIMIT_RANGE, namespace, _body(LIMIT_RANGE.kind, {"limits": limits}), manager=CLI_MANAGER)
    quota = _body(RESOURCE_QUOTA.kind, {"hard": hard})
    await client.apply(RESOURCE_QUOTA, namespace, quota, manager=CLI_MANAGER)
    return hard


def _body(kind: str, spec: Object) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": NAME}, "spec": spec}


async def use(client: KubeClient) -> dict[str, dict[str, dict[str, str]]] | None:
    """By namespace and name of `RESOURCES` what is used and what may be; None if nobody may read it."""
    try:
        items, _ = await client.list(RESOURCE_QUOTA)
    except ForbiddenError:
        return None
    found: dict[str, list[Object]] = {}
    for item in items:
        found.setdefault(item["metadata"]["namespace"], []).append(item)
    return {namespace: tightest(quotas) for namespace, quotas in found.items()}


def tightest(quotas: Iterable[Object]) -> dict[str, dict[str, str]]:
    """Of several quotas the one that leaves least, for each name of `RESOURCES`."""
    found: dict[str, dict[str, str]] = {}
    left: dict[str, Decimal] = {}
    for quota in quotas:
        if (quota.get("spec") or {}).get("scopes") or (quota.get("spec") or {}).get("scopeSelector"):
            continue  # it counts a part of the pods only
        status = quota.get("status") or {}
        hard, used = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}, status.get("used") or {}
        for name, resource in RESOURCES.items():
            if resource not in hard:
                continue
            taken = used.get(resource, "0")
            rest = amount(hard[resource]) - amount(taken)
            if name not in left or rest < left[name]:
                left[name], found[name] = rest, {"used": taken, "hard": hard[resource]}
    return found
