"""IP packets as bytes (RFC 791 §3.1, RFC 8200 §3, §4.5)."""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from lab.protocols.fragmentation import internet_sum
from lab.sim.capture.transport import encode_transport
from nat_models.packet import (
    ICMP_ERROR_BYTES,
    ICMP_HEADER_BYTES,
    ICMPV6_ERROR_BYTES,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    IpProtocol,
)

if TYPE_CHECKING:
    from nat_models.packet import Packet

_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_IPV6: Final = struct.Struct("!IHBB16s16s")
_IPV6_FRAGMENT: Final = struct.Struct("!BBHI")
_IPV6_FRAGMENT_HEADER: Final = 44
_ICMPV6: Final = 58
_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000
_LONGEST: Final = 0xFFFF


def encode_ip(packet: Packet) -> bytes:
    """Return the packet as it would be on the wire, from the IP header on, with right lengths and checksums.

    What the lab does not model has a fixed value: no options, no flow label, one echo sequence number. The
    IPv4 identification follows from ``packet_id``. ``wire_length`` plays no part: the bytes are those there
    are.

    Raises:
        ValueError: the packet is longer than IP can say.
    """
    source, destination = _packed(packet.source[0]), _packed(packet.destination[0])
    upper = _upper_layer(packet, source, destination)
    # IPv4 counts its header in the length it says, IPv6 does not.
    if len(upper) + (0 if packet.is_ipv6 else _IPV4.size) > _LONGEST:
        raise ValueError(f"longer than IP can say: {packet.describe()}")
    if packet.is_ipv6:
        return _ipv6(packet, source, destination, upper)
    return _ipv4(packet, source, destination, upper)


@lru_cache(maxsize=4096)
def _packed(address: str) -> bytes:
    return ip_address(address.partition("%")[0]).packed  # a zone is of the host, not of the wire


def _protocol_number(packet: Packet) -> int:
    return _ICMPV6 if packet.is_ipv6 and packet.protocol is IpProtocol.ICMP else packet.protocol


def _upper_layer(packet: Packet, source: bytes, destination: bytes) -> bytes:
    if packet.fragment is not None and packet.fragment.offset:
        return packet.payload

    def pseudo_header(length: int) -> bytes:
        # RFC 9293 §3.1 and RFC 8200 §8.1 differ in the width of the fields; their sums are the same.
        return source + destination + struct.pack("!II", length, _protocol_number(packet))

    return encode_transport(packet, pseudo_header, _quotation(packet))


def _quotation(packet: Packet) -> bytes:
    """Return what an ICMP error quotes: as much as fits (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c)."""
    if packet.icmp is None or packet.icmp.quoted is None:
        return b""
    if packet.is_ipv6:
        room = ICMPV6_ERROR_BYTES - IPV6_HEADER_BYTES - ICMP_HEADER_BYTES
    else:
        room = ICMP_ERROR_BYTES - IPV4_HEADER_BYTES - ICMP_HEADER_BYTES
    return encode_ip(packet.icmp.quoted)[:room]


def _ipv4(packet: Packet, source: bytes, destination: bytes, upper: bytes) -> bytes:
    identification, place = packet.packet_id, _DONT_FRAGMENT if packet.dont_fragment else 0
    if packet.fragment is not None:
        identification = packet.fragment.identification
        place |= packet.fragment.offset // 8 | (_MORE_FRAGMENTS if packet.fragment.more else 0)

    def header(checksum: int) -> bytes:
        return _IPV4.pack(
            0x45, packet.dscp << 2, _IPV4.size + len(upper), identification & 0xFFFF, place, packet.ttl,
            packet.protocol, checksum, source, destination,
        )  # fmt: skip

    return header(~internet_sum(header(0)) & 0xFFFF) + upper


def _ipv6(packet: Packet, source: bytes, destination: bytes, upper: bytes) -> bytes:
    next_header = _protocol_number(packet)
    if packet.fragment is not None:
        place = packet.fragment.offset | int(packet.fragment.more)
        identification = packet.fragment.identification & 0xFFFF_FFFF
        upper = _IPV6_FRAGMENT.pack(next_header, 0, place, identification) + upper
        next_header = _IPV6_FRAGMENT_HEADER
    version_and_class = 6 << 28 | packet.dscp << 22
    return _IPV6.pack(version_and_class, len(upper), next_header, packet.ttl, source, destination) + upper
