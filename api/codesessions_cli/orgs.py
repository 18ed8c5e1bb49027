"""Organisations: namespaces with a label."""

from __future__ import annotations

from codesessions_crds.names import CLI_MANAGER, ORGANIZATION_LABEL
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import NotFoundError
from codesessions_kube.kinds import NAMESPACE
from codesessions_kube.store import Object

from codesessions_cli.words import LONGEST_LABEL

ENFORCE = "pod-security.kubernetes.io/enforce"


class RefusedError(Exception):
    """It is not done, and why."""


async def create(client: KubeClient, name: str) -> Object:
    """Make namespace `name` the organisation `org_NAME`, which may be so already.

    Raises RefusedError for the cluster's own namespaces and for one that is another organisation already.
    """
    if name == "default" or name.startswith("kube-"):
        raise RefusedError(f"{name} is a namespace of the cluster itself")
    try:
        labels = (await client.get(NAMESPACE, None, name))["metadata"].get("labels") or {}
    except NotFoundError:
        labels = {}
    known = labels.get(ORGANIZATION_LABEL)
    if known not in {None, f"org_{name}"}:
        raise RefusedError(f"namespace {name} is organisation {known} already")
    level = labels.get(ENFORCE, "restricted")
    if level not in {"restricted", "baseline"}:  # baseline: Dockerfiles are built there (docs/deploy.md)
        raise RefusedError(f"namespace {name} has {ENFORCE}={labels[ENFORCE]}: set it to restricted first")
    wanted = {ORGANIZATION_LABEL: f"org_{name}", ENFORCE: level}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": wanted}}
    return await client.apply(NAMESPACE, None, body, manager=CLI_MANAGER)


async def listing(client: KubeClient) -> list[tuple[str, str]]:
    """Namespace and organisation of each, by namespace."""
    items, _ = await client.list(NAMESPACE, selector=ORGANIZATION_LABEL)
    return sorted((item["metadata"]["name"], item["metadata"]["labels"][ORGANIZATION_LABEL]) for item in items)


async def namespace_of(client: KubeClient, organization: str) -> str:
    """The namespace of an organisation, given as `demo` or `org_demo`.

    Raises RefusedError if there is none, or more than one.
    """
    values = [value for value in (organization, f"org_{organization}") if len(value) <= LONGEST_LABEL]
    selector = f"{ORGANIZATION_LABEL} in ({','.join(values)})"
    items, _ = await client.list(NAMESPACE, selector=selector)
    names = sorted(item["metadata"]["name"] for item in items)
    if len(names) == 1:
        return str(names[0])
    if names:
        raise RefusedError(f"organisation {organization} has several namespaces, use --namespace: {', '.join(names)}")
    raise RefusedError(f"there is no organisation {organization}: make it with `codesessions org create`")
