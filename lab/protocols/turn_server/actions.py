"""What the TURN server asks its surroundings to do, and what it tells them has happened.

Plain classes rather than frozen ones: one is made for every packet relayed. Treat them as values.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from lab.protocols.turn_server.config import Transport
from nat_models.packet import TransportAddress


class FiveTuple(NamedTuple):
    """Which client, on which of the server's addresses, by what (RFC 8656 §3.2)."""

    transport: Transport
    client: TransportAddress
    server: TransportAddress


@dataclass(slots=True)
class SendToClient:
    """Send ``data`` to ``client`` from the service address ``server``, or on the connection between them."""

    transport: Transport
    client: TransportAddress
    server: TransportAddress
    data: bytes


@dataclass(slots=True)
class SendFromRelay:
    """Send a UDP datagram from the relayed address to a peer."""

    relayed: TransportAddress
    peer: TransportAddress
    data: bytes


@dataclass(slots=True)
class OpenRelayPort:
    """Bind a UDP socket there, then call ``relay_port_opened`` or ``relay_port_failed``."""

    relayed: TransportAddress


@dataclass(slots=True)
class CloseRelayPort:
    """Close the socket of a relayed address; what is still under way to it is lost."""

    relayed: TransportAddress


@dataclass(slots=True)
class CloseClient:
    """Close a stream client's connection: what it sends cannot be read on."""

    transport: Transport
    client: TransportAddress
    server: TransportAddress


@dataclass(slots=True)
class Allocated:
    """An allocation was made; ``lifetime`` in seconds."""

    five_tuple: FiveTuple
    relayed: TransportAddress
    lifetime: int
    username: str


@dataclass(slots=True)
class Refused:
    """A request was answered by an error, other than the challenge (401) to a request without credentials."""

    five_tuple: FiveTuple
    method: str
    code: int
    reason: str


class Ended(enum.StrEnum):
    """What can end at a TURN server."""

    ALLOCATION = "allocation"
    PERMISSION = "permission"
    CHANNEL = "channel"


@dataclass(slots=True)
class Expired:
    """Something ended; ``why`` in words. ``peer`` is None for an allocation, has port 0 for a permission."""

    what: Ended
    five_tuple: FiveTuple
    peer: TransportAddress | None
    why: str


@dataclass(slots=True)
class Dropped:
    """Data was not relayed; ``reason`` in words. The addresses are those of the lost data."""

    source: TransportAddress
    destination: TransportAddress
    reason: str


Action = (
    SendToClient
    | SendFromRelay
    | OpenRelayPort
    | CloseRelayPort
    | CloseClient
    | Allocated
    | Refused
    | Expired
    | Dropped
)
