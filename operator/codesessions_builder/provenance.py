"""The statement of how an image came to be: in-toto Statement v1 with SLSA provenance v1 (slsa.dev/spec/v1.0). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codesessions_builder.order import Order

MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://codesessions.dev/build/v1"
BUILDER = "https://codesessions.dev/builder"


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def statement(
    order: Order,
    *,
    image_digest: str,
    base_digest: str,
    language: str,
    version: str,
    started: str,
    finished: str,
    made: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What was built, of what, by whom and when. Times are RFC 3339."""
    internal = {"namespace": order.namespace, "build": order.build, "language": language, **(made or {})}
    external = {
        "engine": order.engine,
        "app": order.app,
        "session": order.session_id,
        "user": order.user_id,
        "organization": order.organization_id,
        "requestedAt": order.requested_at,
    }
    return {
        "_type": STATEMENT,
        "subject": [{"name": order.image_repository, "digest": _digest(image_digest)}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {name: value for name, value in external.items() if value},
                "internalParameters": {name: value for name, value in internal.items() if value},
                "resolvedDependencies": [
                    {
                        "name": "source",
                        "uri": f"oci:{order.source_repository}@{order.source_digest}",
                        "digest": _digest(order.source_digest),
                    },
                    *(
                        [{"name": "base", "uri": f"oci:{order.base}", "digest": _digest(base_digest)}]
                        if base_digest
                        else []
                    ),
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER, **({"version": {"codesessions": version}} if version else {})},
                "metadata": {
                    "invocationId": f"{order.namespace}/{order.build}",
                    "startedOn": started,
                    "finishedOn": finished,
                },
            },
        },
    }
