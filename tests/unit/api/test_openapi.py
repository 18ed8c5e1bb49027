import time
from pathlib import Path

import pytest
from codesessions_api import openapi
from codesessions_api.app import routes
from codesessions_api.archivecache import ArchiveCache
from codesessions_api.archived import Transcripts
from codesessions_api.build_logs import BuildLogs
from codesessions_api.caches import Caches
from codesessions_api.context import Context
from codesessions_api.deploy_caches import DeployCaches
from codesessions_api.deploys import Deploys
from codesessions_api.ratelimits import RateLimits
from codesessions_api.service import Service
from codesessions_api.shares import Shares
from codesessions_api.sidecar import Sidecars
from openapi_spec_validator import validate


@pytest.fixture
async def context() -> Context:
    caches = Caches(object())  # type: ignore[arg-type]  # the document needs no cluster
    transcripts = Transcripts(None, ArchiveCache(Path("/nowhere"), 0))
    known = DeployCaches(object())  # type: ignore[arg-type]
    service, sidecars = Service(object(), caches), Sidecars(b"k" * 32)  # type: ignore[arg-type]
    deploys, logs = Deploys(object(), known, configured=True), BuildLogs(object(), known, None)  # type: ignore[arg-type]
    return Context(
        service, caches, sidecars, transcripts, b"k" * 32, deploys, logs, RateLimits({}, time.monotonic), Shares(9)
    )


def test_the_document_is_valid() -> None:
    validate(openapi.document())


async def test_the_document_names_every_call_and_no_other(context: Context) -> None:
    documented = {
        (method.upper(), path)
        for path, item in openapi.document()["paths"].items()
        for method in item
        if method in ("get", "post", "put", "patch", "delete")
    }
    served = {(method, route.path) for route in routes(context).routes for method in route.methods}  # type: ignore[attr-defined]
    assert documented == served
