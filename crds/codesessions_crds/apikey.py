"""The APIKey: who may call the REST API, by the hash of a key that is shown once."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from codesessions_crds.meta import Resource, Timestamp


class Scope(StrEnum):
    """What a key allows."""

    READ = "code-sessions:read"
    WRITE = "code-sessions:write"
    DEPLOY = "code-sessions:deploy"


class RateLimit(Resource):
    requests: int = Field(ge=1, le=1_000_000, description="How many requests, all of which may come at once.")
    seconds: int = Field(ge=1, le=86_400, description="In how many seconds as many come back.")


class RateLimits(Resource):
    reads: RateLimit | None = Field(default=None, description="Of requests that read; absent: the installation's.")
    writes: RateLimit | None = Field(default=None, description="Of requests that change something.")
    creates: RateLimit | None = Field(default=None, description="Of requests that make a session or a deploy.")


class APIKeySpec(Resource):
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", max_length=64, description="SHA-256 of the whole key, in hexadecimal.")
    scopes: list[Scope] = Field(
        min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}, description="What it allows."
    )
    user_id: str = Field(min_length=1, max_length=128, description="Whose key it is; sessions made with it are theirs.")
    description: str = Field(default="", max_length=256, description="What it is for, for people.")
    expires_at: Timestamp | None = Field(default=None, description="When it stops working; absent: never.")
    disabled: bool = Field(default=False, description="True: it does not work, from the next request on.")
    rate_limits: RateLimits | None = Field(
        default=None,
        description="How often it may call a replica of the API, in place of the installation's limits.",
    )


class APIKey(Resource):
    """An APIKey lets a program call the REST API for the organisation whose namespace it is in."""

    spec: APIKeySpec = Field(description="What the key is and allows.")


RULES: list[dict[str, str]] = [
    {"rule": "self.hash == oldSelf.hash", "message": "hash is immutable: create a new APIKey"},
]

COLUMNS: list[dict[str, Any]] = [
    {"name": "User", "type": "string", "jsonPath": ".spec.userId"},
    {"name": "Scopes", "type": "string", "jsonPath": ".spec.scopes"},
    {"name": "Expires", "type": "string", "jsonPath": ".spec.expiresAt"},
    {"name": "Disabled", "type": "boolean", "jsonPath": ".spec.disabled"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
