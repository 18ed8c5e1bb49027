from __future__ import annotations

import pytest
from codesessions_api.tickets import address_of
from codesessions_kube.store import Object


def at(ip: object) -> Object:
    return {"status": {"pod": {"name": "ws-abc123", "uid": "u", "ip": ip}}}


@pytest.mark.parametrize("ip", ["10.244.0.7", "192.0.2.7", "fd00::7", "2001:db8::7"])
def test_a_pods_address_is_where_its_sidecar_is(ip: str) -> None:
    assert address_of(at(ip)) == (ip, 7681)


def test_an_address_in_another_form_is_the_same() -> None:
    assert address_of(at("::ffff:10.244.0.7")) == ("10.244.0.7", 7681)


@pytest.mark.parametrize(
    "ip",
    [
        None,
        "",
        7,
        "metadata.google.internal",
        "10.0.0.1:80",
        "10.0.0.1/32",
        "http://10.0.0.1",
        "010.0.0.1",
        "2130706433",
        "10.0.0.1@169.254.169.254",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd00:ec2::254%eth0",
        "127.0.0.1",
        "127.7.7.7",
        "::1",
        "::ffff:127.0.0.1",
        "100.100.100.200",
        "0.0.0.0",  # noqa: S104
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
    ],
)
def test_what_is_no_pods_address_is_nowhere(ip: object) -> None:
    assert address_of(at(ip)) is None


@pytest.mark.parametrize("resource", [{}, {"status": None}, {"status": {}}, {"status": {"pod": None}}])
def test_without_a_pod_there_is_none(resource: Object) -> None:
    assert address_of(resource) is None
