import pytest
from codesessions_oci.challenges import Challenge, parse


def bearer(**parameters: str) -> Challenge:
    return Challenge("bearer", parameters)


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="r"', [Challenge("basic", {"realm": "r"})]),
        (
            'Bearer realm="https://a/t?x=1,2",service="s b",scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer", {"realm": "https://a/t?x=1,2", "service": "s b", "scope": "repository:a/b:pull,push"}
                )
            ],
        ),
        (
            'Basic realm="x", Bearer realm=plain',
            [Challenge("basic", {"realm": "x"}), bearer(realm="plain")],
        ),
        (
            'Bearer realm="a\\"b", error = invalid_token',
            [bearer(realm='a"b', error="invalid_token")],
        ),
        ("Negotiate, Basic realm=x", [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
        ("", []),
        ('"', []),
    ],
)
def test_a_header_is_read_as_the_rfc_has_it(header: str, challenges: list[Challenge]) -> None:
    assert parse([header]) == challenges


def test_several_headers_are_several_challenges() -> None:
    assert [each.scheme for each in parse(["Basic realm=a", "Bearer realm=b"])] == ["basic", "bearer"]
