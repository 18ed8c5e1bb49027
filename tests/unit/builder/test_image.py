"""Config, manifest and statement."""

from __future__ import annotations

import json
from typing import Any

from codesessions_builder import image, provenance
from codesessions_builder.image import Start
from codesessions_builder.order import Order
from codesessions_builder.publish import split
from codesessions_oci.descriptors import Descriptor

BASE: dict[str, Any] = {
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "created": "2024-01-01T00:00:00Z",
    "config": {"Env": ["A=1", "PORT=9"], "Entrypoint": ["x"], "User": "0", "Labels": {"l": "m"}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:base"]},
    "history": [{"created_by": "base"}],
}
ORDER = Order(
    source_repository="p/sources",
    source_digest="sha256:" + "1" * 64,
    base="p/runtime:1",
    image_repository="p/app",
    namespace="demo",
    build="bld-1",
    session_id="cs_1",
    user_id="user_1",
)


def test_the_config_is_the_bases_with_ours_on_top() -> None:
    found = image.config(BASE, ["sha256:ours"], Start(["run"], {"A": "2"}, "SIGINT"), 8080, "/app", {"k": "v"})
    settings = found["config"]
    assert "Entrypoint" not in settings
    assert (settings["Cmd"], settings["User"], settings["StopSignal"]) == (["run"], "1000:1000", "SIGINT")
    assert settings["Env"] == ["A=2", "PORT=8080"]
    assert settings["Labels"] == {"k": "v"}
    assert found["rootfs"]["diff_ids"] == ["sha256:base", "sha256:ours"]
    assert len(found["history"]) == 2
    assert (found["architecture"], found["variant"], found["created"]) == ("arm64", "v8", "2024-01-01T00:00:00Z")
    assert BASE["config"]["Entrypoint"] == ["x"], "the base's document is nobody's to change"


def test_labels_of_the_base_that_speak_of_itself_are_replaced() -> None:
    found = image.labels({"org.opencontainers.image.title": "t", "l": "m"}, "r:1", "sha256:b", {"app": "a", "user": ""})
    assert found == {
        "l": "m",
        "org.opencontainers.image.base.name": "r:1",
        "org.opencontainers.image.base.digest": "sha256:b",
        "codesessions.dev/app": "a",
    }


def test_layers_of_docker_become_those_of_oci() -> None:
    docker = Descriptor("sha256:" + "2" * 64, 5, "application/vnd.docker.image.rootfs.diff.tar.gzip")
    config = Descriptor("sha256:" + "3" * 64, 6, image.CONFIG)
    found = json.loads(image.manifest(config, [docker], {}))
    assert found["layers"][0]["mediaType"] == image.LAYER
    assert found["config"]["digest"] == config.digest


def test_the_statement_names_what_is_known_and_nothing_else() -> None:
    found = provenance.statement(
        ORDER,
        image_digest="sha256:" + "4" * 64,
        base_digest="sha256:" + "5" * 64,
        language="static",
        version="1",
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:00:01Z",
    )
    predicate = found["predicate"]
    assert predicate["buildDefinition"]["externalParameters"] == {
        "engine": "auto",
        "session": "cs_1",
        "user": "user_1",
    }
    source, base = predicate["buildDefinition"]["resolvedDependencies"]
    assert source["uri"] == f"oci:p/sources@{ORDER.source_digest}"
    assert base["digest"] == {"sha256": "5" * 64}
    assert predicate["runDetails"]["metadata"]["finishedOn"] == "2026-01-01T00:00:01Z"


def test_an_order_survives_the_environment() -> None:
    assert Order.read(ORDER.render()) == ORDER


def test_references_are_taken_apart() -> None:
    digest = "sha256:" + "6" * 64
    assert split(f"a/b@{digest}") == ("a/b", digest)
    assert split(f"a/b:1@{digest}") == ("a/b", digest)
    assert split("a/b:1") == ("a/b", "1")
    assert split("a/b") == ("a/b", "latest")
