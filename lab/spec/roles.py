"""The roles a topology may name, and where their services are found in a network."""

from __future__ import annotations

from typing import Final

from lab.spec.network import Network, Node
from lab.spec.program import LAB_PROGRAM

ENDPOINT: Final = "endpoint"
RELAY: Final = "relay"
RENDEZVOUS: Final = "rendezvous"
STUN: Final = "stun"
DNS: Final = "dns"
SIP_PROXY: Final = "sip_proxy"

COTURN: Final = "coturn"
RELAY_PROGRAMS: Final = (LAB_PROGRAM, COTURN)
"""What a relay may be: the lab's own server, or coturn, which the kernel world alone can run."""

STUN_PORT: Final = 3478
"""STUN and TURN over UDP and TCP (RFC 8489 §18.5)."""
TURN_TCP_PORT: Final = 443
"""Where a web-only firewall lets a TURN client through (RFC 8656 allows any port)."""
TURN_TLS_PORT: Final = 5349
"""STUN and TURN over TLS (RFC 8489 §18.5)."""
SIP_PORT: Final = 5060
"""SIP over UDP and TCP (RFC 3261 §19.1.2)."""


STATIC_RESOLVER: Final = "static"
"""A host's ``resolver`` option has this value where it looks into the topology's table, without a packet."""
HOST_NAME_DOMAIN: Final = "test"
"""The domain of public hosts (RFC 6761 §6.2 keeps it for this)."""


def public_name(node: str) -> str:
    """Return the name by which a public host is known to name servers: ``<node>.test``."""
    return f"{node}.{HOST_NAME_DOMAIN}"


def addresses_of(node: Node) -> list[str]:
    """Return a node's addresses without prefix lengths, in interface order."""
    return [a.partition("/")[0] for interface in node.interfaces for a in interface.addresses]


def first_address(node: Node) -> str:
    """Return a node's first IPv4 address, or its first address."""
    addresses = addresses_of(node)
    return next((a for a in addresses if ":" not in a), addresses[0])


def name_servers_of(node: Node, network: Network) -> list[Node]:
    """Return the DNS servers that a host asks, in order; none where it has the names in a table.

    They are those of the topology, or the one that its ``resolver`` option names. A DNS server itself asks
    nobody.
    """
    chosen = node.options.get("resolver", "")
    if node.role == DNS or chosen == STATIC_RESOLVER:
        return []
    servers = network.by_role.get(DNS, {})
    return [server for name, server in servers.items() if chosen in {"", name}]
