from codesessions_api.app import make_app
from codesessions_api.caches import Caches
from codesessions_api.routes import router
from codesessions_api.service import Service
from codesessions_api.sidecar import address_of
from fastapi import FastAPI
from openapi_spec_validator import validate


def test_addresses_of_both_families() -> None:
    assert address_of({"status": {"pod": {"ip": "10.0.0.7"}}}) == "10.0.0.7:7681"
    assert address_of({"status": {"pod": {"ip": "fd00::7"}}}) == "[fd00::7]:7681"
    assert address_of({"status": {"pod": {}}}) is None


async def test_the_document_is_valid_and_names_every_call() -> None:
    outer = make_app(b"k" * 32, client=object())  # type: ignore[arg-type]  # the document needs no cluster
    app = outer._app  # type: ignore[attr-defined]
    assert isinstance(app, FastAPI)
    caches = Caches(object())  # type: ignore[arg-type]
    app.include_router(router(Service(object(), caches), caches, object()))  # type: ignore[arg-type]
    document = app.openapi()
    validate(document)
    calls = {(method, path) for path, item in document["paths"].items() for method in item}
    base = "/api/v1/code-sessions"
    assert calls == {
        ("post", base),
        ("get", base),
        ("get", f"{base}/{{id}}"),
        ("delete", f"{base}/{{id}}"),
        ("post", f"{base}/{{id}}/input"),
        ("get", f"{base}/{{id}}/output"),
        ("post", f"{base}/{{id}}/resize"),
    }
