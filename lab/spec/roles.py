"""The roles a topology may name, and where their services are found in a network."""

from __future__ import annotations

from typing import Final

from lab.spec.network import Node

ENDPOINT: Final = "endpoint"
RELAY: Final = "relay"
RENDEZVOUS: Final = "rendezvous"
STUN: Final = "stun"

STUN_PORT: Final = 3478
"""STUN and TURN over UDP and TCP (RFC 8489 §18.5)."""
TURN_TCP_PORT: Final = 443
"""Where a web-only firewall lets a TURN client through (RFC 8656 allows any port)."""
TURN_TLS_PORT: Final = 5349
"""STUN and TURN over TLS (RFC 8489 §18.5)."""


def first_address(node: Node) -> str:
    """Return a node's first IPv4 address, or its first address."""
    addresses = [a.partition("/")[0] for interface in node.interfaces for a in interface.addresses]
    return next((a for a in addresses if ":" not in a), addresses[0])
