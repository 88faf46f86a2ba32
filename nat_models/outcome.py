"""What a NAT says of one packet, wake-up or reboot: packets out, events, and why a packet was dropped."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from nat_models.packet import IpProtocol, Packet, TransportAddress, format_address

Json = str | int | float


class Side(enum.Enum):
    """The two sides of a box: the network it serves, and the network it translates to."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class Emission(NamedTuple):
    """A packet that leaves the box, and the side it leaves towards.

    INSIDE for inbound and hairpinned packets, OUTSIDE for outbound ones. Packets that the box makes itself
    (ICMP errors, resets) have ``packet_id`` 0 and the packet that caused them as ``cause_id``.
    """

    packet: Packet
    side: Side


class NatEventKind(enum.StrEnum):
    """What happened to the state of a box."""

    CREATED = "created"
    EXPIRED = "expired"
    REBOOTED = "rebooted"
    FLUSHED = "flushed"


class NatEvent(NamedTuple):
    """A mapping came or went, or the box lost them all. Times in seconds of the caller's clock.

    ``time`` is when it happened: an expired mapping is noticed late (at the next packet or wake-up), but its
    time is that of the expiry. ``remote`` is the remote of the packet that made the mapping. ``idle``
    (seconds) is how long an expired mapping had not been refreshed. ``mappings`` counts what a reboot or
    a flush lost.
    """

    kind: NatEventKind
    time: float
    protocol: IpProtocol | None = None
    internal: TransportAddress | None = None
    external: TransportAddress | None = None
    remote: TransportAddress | None = None
    idle: float = 0.0
    mappings: int = 0

    def as_data(self) -> dict[str, Json]:
        """Return what the event says as JSON-able words and numbers, addresses as ``host:port``."""
        if self.kind in {NatEventKind.REBOOTED, NatEventKind.FLUSHED}:
            return {"mappings": self.mappings}
        data: dict[str, Json] = {}
        for word, address in (
            ("internal", self.internal),
            ("external", self.external),
            ("remote", self.remote),
        ):
            if address is not None:
                data[word] = format_address(address)
        if self.protocol is not None:
            data["protocol"] = self.protocol.name.lower()
        if self.kind is NatEventKind.EXPIRED:
            data["idle"] = round(self.idle, 9)
        return data


@dataclass(slots=True)
class Outcome:
    """What a NAT did.

    ``reason`` says why a packet did not pass ("no mapping on port 40001"), empty if it did. A held packet (a
    fragment whose first one is missing, an unsolicited SYN) has a reason that begins with ``held:``; it may
    leave in the outcome of a later packet or wake-up. A dropped packet may still have ``packets``: an ICMP
    error or a reset that answers it.
    """

    packets: tuple[Emission, ...] = ()
    events: tuple[NatEvent, ...] = ()
    reason: str = ""


class DroppedError(Exception):
    """Inside the engine: this packet goes no further, why, and what answers it. Never leaves the package."""

    def __init__(self, reason: str, answers: tuple[Emission, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answers = answers


class ExhaustedError(DroppedError):
    """No port is left for a new mapping: pool, block or limit is used up."""
