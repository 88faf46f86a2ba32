"""IP packets as bytes: what the engine must know of them, and their rewriting in place.

A box must not lose what the model does not know (TCP options, IP options, identification, the data of an
echo), so nothing is encoded anew: addresses and ports are replaced in the bytes that came, and checksums are
adjusted by the difference. That also serves first fragments, whose checksum covers bytes that are elsewhere,
and packets that a sender on the same machine left for its network device to complete.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lab.emu.nat_planes.engine.checksums import adjusted, adjusted_sum, checksum
from lab.errors import WireFormatError
from nat_models.packet import (
    Fragment,
    IcmpMessage,
    IcmpType,
    IpProtocol,
    Packet,
    TcpFlag,
    TcpHeader,
)

ICMPV6: Final = 58
_IPV6_FRAGMENT: Final = 44
_IPV6_SKIPPED: Final = frozenset({0, 43, 60})
"""Hop-by-hop options, routing header, destination options (RFC 8200 §4)."""
_IPV6_HEADERS_AT_MOST: Final = 8
_PORTS: Final = struct.Struct("!HH")
_TCP: Final = struct.Struct("!HHIIHH")
_FLAGS: Final = 0x1F

_CHECKSUM_AT: Final = {IpProtocol.UDP: 6, IpProtocol.TCP: 16, IpProtocol.ICMP: 2}
_TRANSPORT_BYTES: Final = {IpProtocol.UDP: 8, IpProtocol.TCP: 20, IpProtocol.ICMP: 8}
_QUOTED_BYTES: Final = 8
"""What an ICMP error quotes at least beyond the IP header (RFC 792): the ports, and no checksum of TCP."""

ICMP_TYPES: Final = {
    (8, 0): IcmpType.ECHO_REQUEST,
    (0, 0): IcmpType.ECHO_REPLY,
    (3, 0): IcmpType.NETWORK_UNREACHABLE,
    (3, 1): IcmpType.HOST_UNREACHABLE,
    (3, 3): IcmpType.PORT_UNREACHABLE,
    (3, 4): IcmpType.FRAGMENTATION_NEEDED,
    (3, 13): IcmpType.ADMINISTRATIVELY_PROHIBITED,
    (11, 0): IcmpType.TIME_EXCEEDED,
}
ICMPV6_TYPES: Final = {
    (128, 0): IcmpType.ECHO_REQUEST,
    (129, 0): IcmpType.ECHO_REPLY,
    (1, 0): IcmpType.NETWORK_UNREACHABLE,
    (1, 1): IcmpType.ADMINISTRATIVELY_PROHIBITED,
    (1, 3): IcmpType.HOST_UNREACHABLE,
    (1, 4): IcmpType.PORT_UNREACHABLE,
    (2, 0): IcmpType.FRAGMENTATION_NEEDED,
    (3, 0): IcmpType.TIME_EXCEEDED,
}
# Errors with a code that the engine has no word for pass as what they are: only their type is looked at.
_ERROR_TYPES: Final = {4: frozenset({3, 11, 12}), 6: frozenset({1, 2, 3, 4})}


@dataclass(slots=True)
class Datagram:
    """An IP packet: its bytes, what the engine is told of it, and where things stand in it.

    ``transport`` is the offset of the transport header, ``hops`` that of TTL or hop limit. ``quoted`` is the
    packet that an ICMP error quotes, ``quoted_at`` where it begins.
    """

    data: bytes
    packet: Packet
    version: int
    transport: int
    hops: int
    quoted: Datagram | None = None
    quoted_at: int = 0

    def rewritten(self, packet: Packet, *, unfinished: bool = False, forwarded: bool = True) -> bytes:
        """Return the bytes with the addresses and ports of ``packet``, one hop further.

        Args:
            packet: What the engine made of it.
            unfinished: The checksum field holds the sum of the pseudo-header only, to be completed by a
                device.
            forwarded: Whether it is one hop further.
        """
        data = bytearray(self.data)
        if forwarded:
            data[self.hops] -= 1
        _replace(self, data, packet, unfinished=unfinished)
        if self.quoted is not None and packet.icmp is not None and packet.icmp.quoted is not None:
            inner = bytearray(data[self.quoted_at :])
            _replace(self.quoted, inner, packet.icmp.quoted, unfinished=False)
            data[self.quoted_at :] = inner
            _sum_icmp(self, data)
        return bytes(data)


def parse_datagram_untrusted(data: bytes, packet_id: int = 0) -> Datagram:
    """Return an IP packet; bytes beyond its own length (Ethernet's padding) are cut off.

    Raises:
        WireFormatError: it is no packet that a box handles.
    """
    return _parse(data, packet_id, quoted=False)


def _parse(data: bytes, packet_id: int, *, quoted: bool) -> Datagram:
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _parse_ipv4(data, packet_id, quoted=quoted)
    if version == 6:
        return _parse_ipv6(data, packet_id, quoted=quoted)
    raise WireFormatError("neither IPv4 nor IPv6")


def _parse_ipv4(data: bytes, packet_id: int, *, quoted: bool) -> Datagram:
    if len(data) < 20:
        raise WireFormatError("an IPv4 header has 20 bytes")
    header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4])
    if header < 20 or len(data) < header or total < header:
        raise WireFormatError("an IPv4 header that is longer than its packet")
    if not quoted:
        if total > len(data):
            raise WireFormatError("an IPv4 packet that is shorter than it says")
        if checksum(data[:header]):
            raise WireFormatError("an IPv4 header whose checksum is wrong")
        data = data[:total]
    place = int.from_bytes(data[6:8])
    fragment = None
    if place & 0x3FFF:
        fragment = Fragment(int.from_bytes(data[4:6]), (place & 0x1FFF) * 8, bool(place & 0x2000))
    addresses = address_text(data[12:16]), address_text(data[16:20])
    packet = Packet(
        _protocol(data[9]), (addresses[0], 0), (addresses[1], 0), ttl=data[8], dscp=data[1] >> 2,
        dont_fragment=bool(place & 0x4000), fragment=fragment, packet_id=packet_id,
    )  # fmt: skip
    return _parse_transport(Datagram(data, packet, 4, header, 8), quoted=quoted)


def _parse_ipv6(data: bytes, packet_id: int, *, quoted: bool) -> Datagram:
    if len(data) < 40:
        raise WireFormatError("an IPv6 header has 40 bytes")
    total = 40 + int.from_bytes(data[4:6])
    if not quoted:
        if total > len(data):
            raise WireFormatError("an IPv6 packet that is shorter than it says")
        data = data[:total]
    next_header, at, fragment = data[6], 40, None
    for _ in range(_IPV6_HEADERS_AT_MOST):
        if next_header not in _IPV6_SKIPPED and next_header != _IPV6_FRAGMENT:
            break
        if len(data) < at + 8:
            raise WireFormatError("an IPv6 extension header that is cut off")
        following = data[at]
        if next_header == _IPV6_FRAGMENT:
            place = int.from_bytes(data[at + 2 : at + 4])
            fragment = Fragment(int.from_bytes(data[at + 4 : at + 8]), place & 0xFFF8, bool(place & 1))
            at += 8
        else:
            at += 8 + data[at + 1] * 8
        next_header = following
        if fragment is not None and fragment.offset:
            break
    if fragment is not None and not fragment.offset and not fragment.more:
        fragment = None  # an atomic fragment (RFC 6946) is a whole packet
    addresses = address_text(data[8:24]), address_text(data[24:40])
    packet = Packet(
        _protocol(next_header, is_ipv6=True), (addresses[0], 0), (addresses[1], 0), ttl=data[7],
        dscp=(data[0] & 15) << 2 | data[1] >> 6, fragment=fragment, packet_id=packet_id,
    )  # fmt: skip
    return _parse_transport(Datagram(data, packet, 6, at, 7), quoted=quoted)


def _protocol(number: int, *, is_ipv6: bool = False) -> IpProtocol:
    if number in {IpProtocol.UDP, IpProtocol.TCP}:
        return IpProtocol(number)
    if number == (ICMPV6 if is_ipv6 else IpProtocol.ICMP):
        return IpProtocol.ICMP
    raise WireFormatError(f"protocol {number} is neither UDP, TCP nor ICMP")


def _parse_transport(datagram: Datagram, *, quoted: bool) -> Datagram:
    packet, data, at = datagram.packet, datagram.data, datagram.transport
    if packet.fragment is not None and packet.fragment.offset:
        packet.payload = data[at:]
        return datagram
    needed = _QUOTED_BYTES if quoted else _TRANSPORT_BYTES[packet.protocol]
    if len(data) < at + needed:
        raise WireFormatError(f"{packet.protocol.name} header that is cut off")
    if packet.protocol is IpProtocol.ICMP:
        return _parse_icmp(datagram, quoted=quoted)
    ports = _PORTS.unpack_from(data, at)
    packet.source = (packet.source[0], ports[0])
    packet.destination = (packet.destination[0], ports[1])
    header = 8
    if packet.protocol is IpProtocol.TCP:
        packet.tcp = TcpHeader(TcpFlag(0), int.from_bytes(data[at + 4 : at + 8]), 0)
        if len(data) >= at + 20:
            _, _, sequence, acknowledgement, flags, window = _TCP.unpack_from(data, at)
            packet.tcp = TcpHeader(TcpFlag(flags & _FLAGS), sequence, acknowledgement, window)
            header = (flags >> 12) * 4
            if not quoted and not 20 <= header <= len(data) - at:
                raise WireFormatError("a TCP header that is longer than its packet")
    packet.payload = data[at + header :]
    return datagram


def _parse_icmp(datagram: Datagram, *, quoted: bool) -> Datagram:
    packet, data, at = datagram.packet, datagram.data, datagram.transport
    type_, code = data[at], data[at + 1]
    known = (ICMP_TYPES if datagram.version == 4 else ICMPV6_TYPES).get((type_, code))
    is_error = type_ in _ERROR_TYPES[datagram.version]
    if is_error and not quoted:
        datagram.quoted_at = at + 8
        datagram.quoted = _parse(data[at + 8 :], 0, quoted=True)
        mtu = int.from_bytes(data[at + 6 : at + 8] if datagram.version == 4 else data[at + 4 : at + 8])
        mtu = mtu if known is IcmpType.FRAGMENTATION_NEEDED else 0
        packet.icmp = IcmpMessage(known or IcmpType.HOST_UNREACHABLE, datagram.quoted.packet, mtu)
        return datagram
    if known not in {IcmpType.ECHO_REQUEST, IcmpType.ECHO_REPLY}:
        raise WireFormatError(f"ICMP type {type_} code {code} is neither an echo nor an error")
    packet.icmp = IcmpMessage(known)
    identifier = int.from_bytes(data[at + 4 : at + 6])
    if known is IcmpType.ECHO_REQUEST:
        packet.source = (packet.source[0], identifier)
    else:
        packet.destination = (packet.destination[0], identifier)
    packet.payload = data[at + 8 :]
    return datagram


def _replace(datagram: Datagram, data: bytearray, packet: Packet, *, unfinished: bool) -> None:
    """Put the endpoints of ``packet`` into ``data``, and adjust its checksums."""
    size, at = (4, 12) if datagram.version == 4 else (16, 8)
    before = bytes(data[at : at + 2 * size])
    after = packed(packet.source[0]) + packed(packet.destination[0])
    data[at : at + 2 * size] = after
    if datagram.version == 4:
        data[10:12] = b"\0\0"
        data[10:12] = checksum(bytes(data[: datagram.transport])).to_bytes(2)
    if packet.fragment is not None and packet.fragment.offset:
        return
    if packet.protocol is IpProtocol.ICMP:
        _replace_identifier(datagram, data, packet, before, after)
        return
    ports, new_ports = bytes(data[datagram.transport : datagram.transport + 4]), _PORTS.pack(
        packet.source[1], packet.destination[1]
    )  # fmt: skip
    data[datagram.transport : datagram.transport + 4] = new_ports
    where = datagram.transport + _CHECKSUM_AT[packet.protocol]
    if len(data) < where + 2:
        return  # a quotation that ends before it
    field = int.from_bytes(data[where : where + 2])
    if unfinished:
        field = adjusted_sum(field, before, after)
    elif field or packet.protocol is IpProtocol.TCP:  # in UDP 0 says that there is none (RFC 768)
        field = adjusted(field, before + ports, after + new_ports)
        if not field and packet.protocol is IpProtocol.UDP:
            field = 0xFFFF
    data[where : where + 2] = field.to_bytes(2)


def _replace_identifier(
    datagram: Datagram, data: bytearray, packet: Packet, before: bytes, after: bytes
) -> None:
    assert packet.icmp is not None
    at = datagram.transport
    covered_before = before if datagram.version == 6 else b""
    covered_after = after if datagram.version == 6 else b""
    if not packet.icmp.is_error:
        is_request = packet.icmp.type is IcmpType.ECHO_REQUEST
        identifier = (packet.source if is_request else packet.destination)[1]
        covered_before += bytes(data[at + 4 : at + 6])
        data[at + 4 : at + 6] = identifier.to_bytes(2)
        covered_after += bytes(data[at + 4 : at + 6])
    field = int.from_bytes(data[at + 2 : at + 4])
    data[at + 2 : at + 4] = adjusted(field, covered_before, covered_after).to_bytes(2)


def _sum_icmp(datagram: Datagram, data: bytearray) -> None:
    """Compute the checksum of an ICMP message anew."""
    at = datagram.transport
    data[at + 2 : at + 4] = b"\0\0"
    pseudo = b""
    if datagram.version == 6:
        pseudo = pseudo_header(bytes(data[8:24]), bytes(data[24:40]), len(data) - at, ICMPV6)
    data[at + 2 : at + 4] = checksum(pseudo + bytes(data[at:])).to_bytes(2)


def pseudo_header(source: bytes, destination: bytes, length: int, protocol: int) -> bytes:
    """Return what a transport checksum covers of the IP header; both families sum to the same."""
    return source + destination + struct.pack("!II", length, protocol)


@lru_cache(maxsize=4096)
def address_text(address: bytes) -> str:
    """Return an address of 4 or 16 bytes as text."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


@lru_cache(maxsize=4096)
def packed(address: str) -> bytes:
    """Return an address as its 4 or 16 bytes."""
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
