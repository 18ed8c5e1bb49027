"""Names and ids, and how one becomes the other. API ids have `_` where Kubernetes names have `-`."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

GROUP = "codesessions.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

NAME_PATTERN = r"^cs-[a-z0-9]{1,40}$"
APP_NAME_PATTERN = r"^app-[a-z0-9]{1,40}$"
BUILD_NAME_PATTERN = r"^bld-[a-z0-9]{1,40}$"
_NAME = re.compile(NAME_PATTERN)
_ID = re.compile(r"^cs_[a-z0-9]{1,40}$")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

ORGANIZATION_LABEL = f"{GROUP}/organization"
APP_LABEL = f"{GROUP}/app"
BUILD_LABEL = f"{GROUP}/build"
KEY_LABEL = f"{GROUP}/idempotent"
"""On CodeSessions and Builds whose name was made of an Idempotency-Key."""
KEY_LIFE = timedelta(hours=24)
"""How long an Idempotency-Key is good, and what it made is kept at least."""
BODY_ANNOTATION = f"{GROUP}/request-body"
"""On the same: SHA-256 of what was asked for."""
REQUEST_ID_ANNOTATION = f"{GROUP}/request-id"
"""Of the REST call that made the object."""
TRACE_ANNOTATION = f"{GROUP}/traceparent"
"""The same, where the call was part of a trace (W3C Trace Context)."""
SESSION_LABEL = f"{GROUP}/session"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
OPERATOR_MANAGER = "codesessions-operator"
STATUS_MANAGER = "codesessions-operator-status"
API_MANAGER = "codesessions-api"
CLI_MANAGER = "codesessions-cli"

PTY_PORT = 7681
"""TCP port of the PTY sidecar."""


def random_text(length: int) -> str:
    """Random lower-case letters and digits, about 5.2 bits a character."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def derived_text(digest: bytes, length: int = 16) -> str:
    """Lower-case letters and digits, the same for the same digest of at least 16 bytes; 16 are 82 bits."""
    number, text = int.from_bytes(digest), ""
    for _ in range(length):
        number, rest = divmod(number, len(_ALPHABET))
        text += _ALPHABET[rest]
    return text


def new_session_name() -> str:
    """A fresh resource name, `cs-` and 10 random characters (52 bits)."""
    return f"cs-{random_text(10)}"


def is_session_name(name: str) -> bool:
    """Whether `name` has the form of a CodeSession's resource name."""
    return _NAME.fullmatch(name) is not None


def name_of_session(session_id: str) -> str | None:
    """`cs_abc123` -> `cs-abc123`; None for what is not a session id."""
    return f"cs-{session_id[3:]}" if _ID.fullmatch(session_id) else None


def session_id(name: str) -> str:
    """`cs-abc123` -> `cs_abc123`."""
    return f"cs_{name[3:]}"


def workspace_id(name: str) -> str:
    """`cs-abc123` -> `ws_abc123`."""
    return f"ws_{name[3:]}"


def workspace_name(name: str) -> str:
    """`cs-abc123` -> `ws-abc123`, the name of its pod, claim and secret."""
    return f"ws-{name[3:]}"


def app_of_session(name: str) -> str:
    """`cs-abc123` -> `app-abc123`, the one App of a session."""
    return f"app-{name[3:]}"


def app_id(name: str) -> str:
    """`app-abc123` -> `app_abc123`."""
    return name.replace("-", "_", 1)


def build_id(name: str) -> str:
    """`bld-abc123` -> `bld_abc123`."""
    return name.replace("-", "_", 1)


def name_of_app(identity: str) -> str | None:
    """`app_abc123` -> `app-abc123`; None for what is not an App's id."""
    name = identity.replace("_", "-", 1)
    return name if identity.startswith("app_") and re.fullmatch(APP_NAME_PATTERN, name) else None


def name_of_build(identity: str) -> str | None:
    """`bld_abc123` -> `bld-abc123`; None for what is not a Build's id."""
    name = identity.replace("_", "-", 1)
    return name if identity.startswith("bld_") and re.fullmatch(BUILD_NAME_PATTERN, name) else None


def new_build_name() -> str:
    """A fresh resource name, `bld-` and 10 random characters (52 bits)."""
    return f"bld-{random_text(10)}"
