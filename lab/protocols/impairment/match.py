"""Whether a packet is one that a scenario means: by protocol, ports, length, and what a STUN message says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.protocols.stun import looks_like_stun
from lab.protocols.stun_types import MessageClass, Method
from nat_models.packet import IpProtocol

if TYPE_CHECKING:
    from lab.spec.packet_drop import PacketMatch
    from nat_models.packet import Packet


def matcher(wanted: PacketMatch) -> Callable[[Packet], bool]:
    """Return a function that says whether a packet is meant, as it stands on the link.

    STUN is looked for in UDP alone, and not within TURN's Send, Data or ChannelData messages. Of a fragmented
    packet only the first fragment has ports and a message.
    """
    protocol = IpProtocol[wanted.protocol.upper()] if wanted.protocol else None
    method = Method[wanted.stun_method.upper().replace("-", "_")] if wanted.stun_method else None
    message_class = MessageClass[wanted.stun_class.upper()] if wanted.stun_class else None

    def matches(packet: Packet) -> bool:
        if protocol is not None and packet.protocol is not protocol:
            return False
        if wanted.size is not None and not wanted.size.holds(packet.length):
            return False
        return _has_ports(packet, wanted) and _is_stun(packet, method, message_class)

    return matches


def _has_ports(packet: Packet, wanted: PacketMatch) -> bool:
    if wanted.port is None and wanted.source_port is None and wanted.destination_port is None:
        return True
    if packet.protocol is IpProtocol.ICMP:  # what stands in the place of its ports is an identifier
        return False
    source, destination = packet.source[1], packet.destination[1]
    return (
        wanted.port in {None, source, destination}
        and wanted.source_port in {None, source}
        and wanted.destination_port in {None, destination}
    )


def _is_stun(packet: Packet, method: Method | None, message_class: MessageClass | None) -> bool:
    if method is None and message_class is None:
        return True
    if packet.protocol is not IpProtocol.UDP or not looks_like_stun(packet.payload):
        return False
    found_method, found_class = _message_type(packet.payload)
    return method in {None, found_method} and message_class in {None, found_class}


def _message_type(payload: bytes) -> tuple[int, int]:
    """Return method and class from the first two bytes of a STUN message (RFC 8489 §5, figure 3)."""
    word = int.from_bytes(payload[:2])
    message_class = (word >> 4 & 1) | (word >> 7 & 2)
    return (word & 0xF) | (word >> 1 & 0x70) | (word >> 2 & 0xF80), message_class
