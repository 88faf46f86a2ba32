"""UDP, TCP and ICMP as bytes, checksums included (RFC 768, RFC 9293 §3.1, RFC 792, RFC 4443)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from lab.protocols.fragmentation import internet_sum
from nat_models.packet import IcmpType, IpProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from nat_models.packet import Packet

    PseudoHeader = Callable[[int], bytes]
    """Length of the upper layer → what its checksum covers of the IP header."""

_UDP: Final = struct.Struct("!HHHH")
_TCP: Final = struct.Struct("!HHIIBBHHH")
_ICMP: Final = struct.Struct("!BBHI")
_TCP_WITHOUT_OPTIONS: Final = 5 << 4

# The sequence number of echoes is not modelled: an identifier is one exchange.
_ECHO_SEQUENCE: Final = 1

_ICMP_CODES: Final = {
    IcmpType.ECHO_REQUEST: (8, 0),
    IcmpType.ECHO_REPLY: (0, 0),
    IcmpType.NETWORK_UNREACHABLE: (3, 0),
    IcmpType.HOST_UNREACHABLE: (3, 1),
    IcmpType.PORT_UNREACHABLE: (3, 3),
    IcmpType.FRAGMENTATION_NEEDED: (3, 4),
    IcmpType.ADMINISTRATIVELY_PROHIBITED: (3, 13),
    IcmpType.TIME_EXCEEDED: (11, 0),
}
_ICMPV6_CODES: Final = {
    IcmpType.ECHO_REQUEST: (128, 0),
    IcmpType.ECHO_REPLY: (129, 0),
    IcmpType.NETWORK_UNREACHABLE: (1, 0),
    IcmpType.ADMINISTRATIVELY_PROHIBITED: (1, 1),
    IcmpType.HOST_UNREACHABLE: (1, 3),
    IcmpType.PORT_UNREACHABLE: (1, 4),
    IcmpType.FRAGMENTATION_NEEDED: (2, 0),
    IcmpType.TIME_EXCEEDED: (3, 0),
}


def encode_transport(packet: Packet, pseudo_header: PseudoHeader, quotation: bytes) -> bytes:
    """Return the IP payload of a packet that is whole or a first fragment.

    ``quotation`` is what an ICMP error quotes, as bytes. Length and checksum are those of the whole datagram.
    """
    if packet.protocol is IpProtocol.UDP:
        return _encode_udp(packet, pseudo_header)
    if packet.protocol is IpProtocol.TCP:
        return _encode_tcp(packet, pseudo_header)
    return _encode_icmp(packet, pseudo_header, quotation)


def _encode_udp(packet: Packet, pseudo_header: PseudoHeader) -> bytes:
    length, summed = _whole_payload(packet)
    length += _UDP.size
    ports = packet.source[1], packet.destination[1]
    header = _UDP.pack(*ports, length, 0)
    # A computed 0 is sent as all ones: 0 says that there is no checksum (RFC 768).
    checksum = _checksum(pseudo_header(length) + header + summed) or 0xFFFF
    return _UDP.pack(*ports, length, checksum) + packet.payload


def _encode_tcp(packet: Packet, pseudo_header: PseudoHeader) -> bytes:
    assert packet.tcp is not None, packet
    flags, sequence, acknowledgement, window = packet.tcp
    length, summed = _whole_payload(packet)

    def header(checksum: int) -> bytes:
        return _TCP.pack(
            packet.source[1], packet.destination[1], sequence & 0xFFFF_FFFF, acknowledgement & 0xFFFF_FFFF,
            _TCP_WITHOUT_OPTIONS, flags, min(window, 0xFFFF), checksum, 0,
        )  # fmt: skip

    checksum = _checksum(pseudo_header(_TCP.size + length) + header(0) + summed)
    return header(checksum) + packet.payload


def _encode_icmp(packet: Packet, pseudo_header: PseudoHeader, quotation: bytes) -> bytes:
    assert packet.icmp is not None, packet
    length, summed = _whole_payload(packet)
    if packet.is_ipv6:
        type_, code = _ICMPV6_CODES[packet.icmp.type]
        covered = pseudo_header(_ICMP.size + length + len(quotation))
    else:
        type_, code = _ICMP_CODES[packet.icmp.type]
        covered = b""  # ICMP for IPv4 sums itself alone
    rest = _rest_of_icmp_header(packet)
    checksum = _checksum(covered + _ICMP.pack(type_, code, 0, rest) + quotation + summed)
    return _ICMP.pack(type_, code, checksum, rest) + quotation + packet.payload


def _rest_of_icmp_header(packet: Packet) -> int:
    """Return the four bytes after the checksum: identifier and sequence, or the MTU of the next hop."""
    assert packet.icmp is not None, packet
    if packet.icmp.type is IcmpType.ECHO_REQUEST:
        return packet.source[1] << 16 | _ECHO_SEQUENCE
    if packet.icmp.type is IcmpType.ECHO_REPLY:
        return packet.destination[1] << 16 | _ECHO_SEQUENCE
    return packet.icmp.mtu


def _whole_payload(packet: Packet) -> tuple[int, bytes]:
    """Return the length of the unfragmented payload, and bytes that sum as it does."""
    fragment = packet.fragment
    if fragment is None or not fragment.total_payload:
        return len(packet.payload), packet.payload
    return fragment.total_payload, fragment.payload_sum.to_bytes(2)


def _checksum(data: bytes) -> int:
    return ~internet_sum(data) & 0xFFFF
