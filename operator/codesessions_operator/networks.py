"""Networks as a setting names them."""

from __future__ import annotations

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> list[Network]:
    """The networks in a text, separated by commas. Raises ValueError."""
    return [ipaddress.ip_network(word.strip()) for word in text.split(",") if word.strip()]
