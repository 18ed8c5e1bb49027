"""Networks as a setting names them."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PRIVATE = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""Where pods, services and other machines of one's own are (RFC 1918, 4193 and 6598)."""


def networks(text: str) -> list[Network]:
    """The networks in a text, separated by commas. Raises ValueError."""
    return [ipaddress.ip_network(word.strip()) for word in text.split(",") if word.strip()]
