from __future__ import annotations

import pytest
from codesessions_kube import errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidError),
        (401, errors.KubeError),
        (403, errors.ForbiddenError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (410, errors.GoneError),
        (422, errors.InvalidError),
        (429, errors.UnavailableError),
        (500, errors.UnavailableError),
        (503, errors.UnavailableError),
    ],
)
def test_each_answer_has_its_exception(status: int, kind: type[errors.KubeError]) -> None:
    found = errors.error_of(status, {"message": "words", "reason": "Word", "details": {"name": "x"}})
    assert type(found) is kind
    assert (found.status, found.message, found.reason, found.details) == (status, "words", "Word", {"name": "x"})


def test_an_answer_without_words_gets_some() -> None:
    assert errors.error_of(418, {}).message == "HTTP 418"


def test_a_quota_is_told_from_other_refusals() -> None:
    words = 'pods "ws-a" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2'
    assert errors.ForbiddenError(words).is_quota
    assert not errors.ForbiddenError('pods is forbidden: User "x" cannot create resource "pods"').is_quota
