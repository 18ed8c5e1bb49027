import hashlib

import pytest
from codesessions_oci.descriptors import EMPTY, MANIFEST, Descriptor, Manifest, artifact, digest_of, render
from codesessions_oci.referrers import select, subject_of, tag_of

A, B = (Descriptor(digest_of(text), len(text), "text/plain") for text in (b"a", b"b"))


def test_the_empty_descriptor_is_that_of_two_braces() -> None:
    assert EMPTY.digest == "sha256:" + hashlib.sha256(b"{}").hexdigest()


def test_an_artifact_names_its_type_layers_and_subject() -> None:
    document = artifact("application/x", [A], {"b": "2", "a": "1"}, B)
    assert document["artifactType"] == "application/x"
    assert document["config"]["mediaType"] == EMPTY.media_type
    assert document["layers"] == [{"mediaType": "text/plain", "digest": A.digest, "size": 1}]
    body = render(document)
    assert subject_of(body, MANIFEST) == B.digest
    assert Manifest(MANIFEST, digest_of(body), body).layers == [A]


def test_an_artifact_without_content_has_the_empty_layer() -> None:
    assert artifact("application/x", [], {})["layers"] == [EMPTY.document()]


def test_the_same_document_has_the_same_bytes() -> None:
    assert render({"b": 1, "a": "ü"}) == render({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"digest": "sha256:short", "size": 1, "mediaType": "x"},
        {"digest": A.digest, "size": -1, "mediaType": "x"},
        {"digest": A.digest, "size": True, "mediaType": "x"},
        {"digest": "sha512:" + "a" * 64, "size": 1, "mediaType": "x"},
        {"digest": A.digest, "size": 1},
    ],
)
def test_what_is_no_descriptor_is_refused(document: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Descriptor.read(document)


def test_referrers_are_chosen_by_type_and_nonsense_left_out() -> None:
    typed = Descriptor(A.digest, 1, MANIFEST, artifact_type="application/x")
    found = {"manifests": [typed.document(), B.document(), {"digest": "?"}, None]}
    assert select(found, "") == [typed, B]
    assert select(found, "application/x") == [typed]
    assert select("nonsense", "") == []
    assert tag_of("sha256:ab") == "sha256-ab"
