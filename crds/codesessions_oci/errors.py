"""How a registry can fail a caller."""

from __future__ import annotations


class RegistryError(Exception):
    """Anything that a registry did not do. `message` is for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnavailableError(RegistryError):
    """It does not answer, is overloaded, or failed; the same call may succeed later."""


class RefusedError(RegistryError):
    """It says no. `status` is the HTTP status, `code` and `detail` are its words (OCI Distribution: error codes)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(
            f"the registry refuses it (HTTP {status}{', ' + code if code else ''}): {detail or 'no detail'}"
        )
        self.status, self.code, self.detail = status, code, detail


class NotFoundError(RefusedError):
    """404: there is no such repository, manifest or blob."""


class IntegrityError(RegistryError):
    """What arrived is not what its digest says."""
