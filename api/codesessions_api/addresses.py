"""Whose address a request comes from, where proxies may stand between."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
_HOST_BITS = 64
"""Of an IPv6 address: whoever has one has so many, so the network in front of them counts."""


def networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR notation, separated by commas. Raises ValueError."""
    return tuple(ip_network(word.strip()) for word in text.split(",") if word.strip())


def client_of(peer: str, forwarded: Iterable[str], proxies: tuple[Network, ...]) -> str:
    """The client behind a connection from `peer`: an IPv4 address, or the /64 of an IPv6 address.

    `forwarded`: the values of X-Forwarded-For, to which every proxy appends whom it was called by. They are believed
    from the end, as far as `proxies` go: what stands further in front anybody can have written.
    """
    here = _parsed(peer)
    steps = [step.strip() for value in forwarded for step in value.split(",")] if proxies else []
    while here is not None and steps and any(here in network for network in proxies):
        before = _parsed(steps.pop())
        if before is None:
            break
        here = before
    if here is None:
        return "unknown"
    return str(ip_network((int(here) >> _HOST_BITS << _HOST_BITS, 64))) if here.version == 6 else str(here)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
