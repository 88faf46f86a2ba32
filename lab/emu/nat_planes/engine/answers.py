"""Packets that a box makes itself, as bytes: ICMP errors, resets and echo replies."""

from __future__ import annotations

import struct
from typing import Final

from lab.emu.nat_planes.engine.checksums import checksum
from lab.emu.nat_planes.engine.datagram import (
    ICMP_TYPES,
    ICMPV6,
    ICMPV6_TYPES,
    Datagram,
    packed,
    pseudo_header,
)
from nat_models.packet import (
    ICMP_ERROR_BYTES,
    ICMP_HEADER_BYTES,
    ICMPV6_ERROR_BYTES,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    IcmpType,
    IpProtocol,
    Packet,
)

_TTL: Final = 64
_CODES: Final = {kind: codes for codes, kind in ICMP_TYPES.items()}
_CODES_IPV6: Final = {kind: codes for codes, kind in ICMPV6_TYPES.items()}
_WITHOUT_OPTIONS: Final = 5 << 12


def answer_bytes(packet: Packet, cause: Datagram) -> bytes:
    """Return a packet that answers ``cause``, with the bytes that came quoted or sent back in it."""
    if packet.tcp is not None:
        return _ip(packet, IpProtocol.TCP, _segment(packet))
    assert packet.icmp is not None
    number = ICMPV6 if packet.is_ipv6 else int(IpProtocol.ICMP)
    if packet.icmp.type is IcmpType.ECHO_REPLY:
        rest, body = cause.data[cause.transport + 4 : cause.transport + 8], cause.data[cause.transport + 8 :]
    else:
        rest, body = _rest(packet), _quotation(packet, cause)
    type_, code = (_CODES_IPV6 if packet.is_ipv6 else _CODES)[packet.icmp.type]
    message = bytes([type_, code, 0, 0]) + rest + body
    covered = b""
    if packet.is_ipv6:
        addresses = packed(packet.source[0]), packed(packet.destination[0])
        covered = pseudo_header(*addresses, len(message), number)
    field = checksum(covered + message)
    return _ip(packet, number, message[:2] + field.to_bytes(2) + message[4:])


def _rest(packet: Packet) -> bytes:
    """Return the four bytes after the checksum of an error: the MTU of the next hop, or nothing."""
    assert packet.icmp is not None
    return packet.icmp.mtu.to_bytes(4)


def _quotation(packet: Packet, cause: Datagram) -> bytes:
    """Return as much of what came as an error may hold (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c)."""
    if packet.is_ipv6:
        return cause.data[: ICMPV6_ERROR_BYTES - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES]
    return cause.data[: ICMP_ERROR_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES]


def _segment(packet: Packet) -> bytes:
    assert packet.tcp is not None
    flags, sequence, acknowledgement, _ = packet.tcp

    def header(field: int) -> bytes:
        ports = packet.source[1], packet.destination[1]
        return struct.pack(
            "!HHIIHHHH", *ports, sequence, acknowledgement, _WITHOUT_OPTIONS | flags, 0, field, 0
        )

    addresses = packed(packet.source[0]), packed(packet.destination[0])
    return header(checksum(pseudo_header(*addresses, 20, IpProtocol.TCP) + header(0)))


def _ip(packet: Packet, protocol: int, upper: bytes) -> bytes:
    source, destination = packed(packet.source[0]), packed(packet.destination[0])
    if packet.is_ipv6:
        return struct.pack("!IHBB", 6 << 28, len(upper), protocol, _TTL) + source + destination + upper

    def header(field: int) -> bytes:
        fixed = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(upper), 0, 0, _TTL, protocol, field)
        return fixed + source + destination

    return header(checksum(header(0))) + upper
