"""From resources to records. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from codesessions_crds.app import App, AppStatus
from codesessions_crds.build import Build, BuildStatus
from codesessions_crds.names import KEY_LABEL
from codesessions_kube.logs import request_fields
from pydantic import ValidationError

from codesessions_operator.apps.objects import Application
from codesessions_operator.apps.plan import AppRecord
from codesessions_operator.builds.order import BuildRecord, in_order
from codesessions_operator.clock import now, parse

Object = dict[str, Any]
_log = logging.getLogger(__name__)


def app_record(resource: Object) -> AppRecord | None:
    """None for what is of no form that this operator knows."""
    metadata = resource["metadata"]
    try:
        model = App.model_validate(resource)
    except ValidationError as error:
        _log.error("App %s/%s cannot be read: %s", metadata["namespace"], metadata["name"], error)
        return None
    return AppRecord(
        application=Application(metadata["namespace"], metadata["name"], metadata["uid"], model.spec),
        created=parse(metadata.get("creationTimestamp")) or now(),
        generation=metadata.get("generation", 0),
        status=model.status or AppStatus(),
    )


def build_record(resource: Object) -> BuildRecord | None:
    """None for what is being deleted, or of no form that this operator knows."""
    metadata = resource["metadata"]
    if metadata.get("deletionTimestamp"):
        return None
    try:
        model = Build.model_validate(resource)
    except ValidationError as error:
        _log.error("Build %s/%s cannot be read: %s", metadata["namespace"], metadata["name"], error)
        return None
    return BuildRecord(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        created=parse(metadata.get("creationTimestamp")) or now(),
        generation=metadata.get("generation", 0),
        spec=model.spec,
        status=model.status or BuildStatus(),
        keyed=KEY_LABEL in (metadata.get("labels") or {}),
        request=request_fields(metadata.get("annotations")),
    )


def build_records(resources: Iterable[Object]) -> list[BuildRecord]:
    """Those that can be read, oldest first."""
    return in_order(record for each in resources if (record := build_record(each)) is not None)


def app_of(resource: Object) -> str:
    """The name of the App a Build is for."""
    name = (resource.get("spec") or {}).get("appName")
    return name if isinstance(name, str) else ""
