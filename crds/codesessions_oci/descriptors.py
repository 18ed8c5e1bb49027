"""Descriptors and manifests (OCI Image Specification 1.1). Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPTED = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST)
OCTETS = "application/octet-stream"
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Descriptor:
    """Content by digest. `size` is in bytes."""

    digest: str
    size: int
    media_type: str = OCTETS
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        if self.annotations:
            found["annotations"] = dict(self.annotations)
        return found

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Descriptor:
        """From JSON. Raises ValueError, KeyError or TypeError if it is none, or not by SHA-256."""
        digest, size = document["digest"], document["size"]
        if not is_digest(digest) or type(size) is not int or size < 0:
            raise ValueError("not a descriptor by SHA-256")
        return cls(
            digest=digest,
            size=size,
            media_type=str(document["mediaType"]),
            annotations={str(name): str(value) for name, value in (document.get("annotations") or {}).items()},
            artifact_type=str(document.get("artifactType") or ""),
        )


@dataclass(frozen=True)
class Manifest:
    """A manifest as a registry has it, to the byte."""

    media_type: str
    digest: str
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON. Raises ValueError."""
        found = json.loads(self.body)
        if not isinstance(found, dict):
            raise ValueError("a manifest is a JSON object")  # noqa: TRY004
        return found

    @property
    def layers(self) -> list[Descriptor]:
        """Its layers. Raises ValueError, KeyError or TypeError."""
        return [Descriptor.read(each) for each in self.document.get("layers") or []]

    @property
    def descriptor(self) -> Descriptor:
        """This manifest, as others refer to it."""
        return Descriptor(self.digest, len(self.body), self.media_type)


EMPTY = Descriptor(
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", 2, "application/vnd.oci.empty.v1+json"
)
"""The two bytes `{}`: the config of what is no image (OCI Image: guidance for an empty descriptor)."""


def is_digest(text: object) -> bool:
    """Whether a text is a SHA-256 digest."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def render(document: Mapping[str, Any]) -> bytes:
    """A manifest's bytes: the same document gives the same bytes."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def artifact(
    artifact_type: str,
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str],
    subject: Descriptor | None = None,
) -> dict[str, Any]:
    """The manifest of an artifact (OCI Image: guidelines for artifact usage)."""
    found: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": EMPTY.document(),
        "layers": [each.document() for each in layers or (EMPTY,)],
        "annotations": dict(annotations),
    }
    if subject is not None:
        found["subject"] = Descriptor(subject.digest, subject.size, subject.media_type).document()
    return found


def index(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An image index."""
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
