"""IP fragmentation and reassembly (RFC 791 §3.2, RFC 8200 §4.5), on the lab's packets.

The IP payload of a packet is its transport header and its payload. The first fragment keeps the transport
header as the packet's fields; later ones are bytes alone, with ports 0, as nat_models.packet says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from nat_models.packet import (
    ICMP_HEADER_BYTES,
    IPV4_HEADER_BYTES,
    IPV6_FRAGMENT_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    TCP_HEADER_BYTES,
    UDP_HEADER_BYTES,
    Fragment,
    IpProtocol,
    Packet,
)

REASSEMBLY_TIMEOUT: Final = 30.0
"""Seconds; what Linux uses. RFC 791 suggests 15 at least, RFC 1122 §3.3.2 60 to 120."""

_TRANSPORT_HEADER_BYTES: Final = {
    IpProtocol.UDP: UDP_HEADER_BYTES,
    IpProtocol.TCP: TCP_HEADER_BYTES,
    IpProtocol.ICMP: ICMP_HEADER_BYTES,
}


def internet_sum(data: bytes) -> int:
    """Return the one's complement sum of 16-bit words (RFC 1071), not inverted; odd data get a zero byte."""
    if len(data) % 2:
        data += b"\x00"
    # 2^16 is 1 modulo 2^16 - 1: the bytes read as one long number have the sum of their words as remainder.
    total = int.from_bytes(data)
    return total % 0xFFFF or (0xFFFF if total else 0)


def natural_length(packet: Packet) -> int:
    """Return the packet's bytes at the IP layer, whatever length it is charged with."""
    if packet.wire_length is None:
        return packet.length
    real = packet.translated()
    real.wire_length = None
    return real.length


def fragment_packet(packet: Packet, mtu: int, identification: int | None = None) -> tuple[Packet, ...]:
    """Cut a packet or a fragment into fragments of at most ``mtu`` bytes; one that fits comes back alone.

    ``identification`` is the sender's number for the datagram; by default it follows from ``packet_id``,
    which is unique in a trial. An ICMP error is never long enough to be cut, and its quotation cannot be.

    Raises:
        ValueError: ``mtu`` has no room for the headers and eight bytes, or the packet quotes another.
    """
    if natural_length(packet) <= mtu:
        return (packet,)
    if packet.icmp is not None and packet.icmp.quoted is not None:
        raise ValueError(f"an ICMP error is not fragmented: {packet.describe()}")
    ip_header = IPV6_HEADER_BYTES + IPV6_FRAGMENT_HEADER_BYTES if packet.is_ipv6 else IPV4_HEADER_BYTES
    chunk = (mtu - ip_header) // 8 * 8  # offsets are counted in units of eight bytes
    head = _transport_bytes(packet)
    if chunk < max(head, 8):
        raise ValueError(f"an MTU of {mtu} bytes has no room for {packet.describe()}")
    whole = packet.fragment or Fragment(
        _identification(packet) if identification is None else identification,
        0,
        more=False,
        total_payload=len(packet.payload),
        payload_sum=internet_sum(packet.payload),
    )
    cuts = [0, *range(chunk - head, len(packet.payload), chunk), len(packet.payload)]
    return tuple(_piece(packet, whole, start=start, end=end, head=head) for start, end in pairwise(cuts))


def _identification(packet: Packet) -> int:
    return packet.packet_id & (0xFFFF_FFFF if packet.is_ipv6 else 0xFFFF)


def _transport_bytes(packet: Packet) -> int:
    if packet.fragment is not None and packet.fragment.offset:
        return 0
    return _TRANSPORT_HEADER_BYTES[packet.protocol]


def _piece(packet: Packet, whole: Fragment, *, start: int, end: int, head: int) -> Packet:
    """Return the fragment that carries ``payload[start:end]``, after ``head`` bytes of transport header."""
    is_first = start == 0 and whole.offset == 0
    piece = packet.translated()
    piece.payload = packet.payload[start:end]
    piece.wire_length = None
    piece.fragment = Fragment(
        whole.identification,
        whole.offset + (start + head if start else 0),
        more=whole.more or end < len(packet.payload),
        total_payload=whole.total_payload if is_first else 0,
        payload_sum=whole.payload_sum if is_first else 0,
    )
    if not is_first:
        piece.source, piece.destination = (packet.source[0], 0), (packet.destination[0], 0)
        piece.tcp = piece.icmp = None
    return piece


_DatagramKey = tuple[str, str, IpProtocol, int]


@dataclass(slots=True)
class _Partial:
    """The fragments of one datagram that have come: offset → packet."""

    deadline: float
    pieces: dict[int, Packet] = field(default_factory=dict)

    def accept(self, packet: Packet, fragment: Fragment) -> bool:
        """Add a fragment; return False when it contradicts one that is there."""
        known = self.pieces.get(fragment.offset)
        if known is not None:
            return known.payload == packet.payload
        start, end = fragment.offset, fragment.offset + _extent(packet)
        if any(offset < end and start < offset + _extent(piece) for offset, piece in self.pieces.items()):
            return False
        self.pieces[fragment.offset] = packet
        return True

    def whole(self) -> Packet | None:
        """Return the datagram if nothing is missing."""
        ordered = sorted(self.pieces.items())
        expected = 0
        for offset, piece in ordered:
            if offset != expected:
                return None
            expected += _extent(piece)
        last = ordered[-1][1].fragment
        if last is None or last.more:
            return None
        first = ordered[0][1]
        datagram = first.translated()
        datagram.fragment = None
        datagram.payload = b"".join(piece.payload for _, piece in ordered)
        return datagram


def _extent(packet: Packet) -> int:
    """Return how many bytes of the datagram's IP payload a fragment carries."""
    return _transport_bytes(packet) + len(packet.payload)


class Reassembler:
    """Puts the fragments that one receiver gets together again.

    Fragments may come in any order and more than once. A datagram of which a fragment overlaps or contradicts
    another is given up in both families, as RFC 5722 asks for IPv6 and Linux does for IPv4; so is one that is
    not whole ``timeout`` seconds after its first fragment came. At most ``capacity`` datagrams are held: the
    oldest gives way to a new one.
    """

    def __init__(self, timeout: float = REASSEMBLY_TIMEOUT, capacity: int = 64) -> None:
        self.timeout = timeout
        self.capacity = capacity
        self._partial: dict[_DatagramKey, _Partial] = {}

    def accept(self, packet: Packet, now: float) -> Packet | None:
        """Take a packet; return it if whole, or the datagram it completes, or None while some is missing."""
        fragment = packet.fragment
        if fragment is None:
            return packet
        self._forget_expired(now)
        key = (packet.source[0], packet.destination[0], packet.protocol, fragment.identification)
        partial = self._partial.get(key)
        if partial is None:
            partial = self._admit(key, now)
        if not partial.accept(packet, fragment):
            del self._partial[key]
            return None
        datagram = partial.whole()
        if datagram is not None:
            del self._partial[key]
        return datagram

    def __len__(self) -> int:
        """How many datagrams are incomplete, as of the last packet."""
        return len(self._partial)

    def _admit(self, key: _DatagramKey, now: float) -> _Partial:
        if len(self._partial) >= self.capacity:
            del self._partial[next(iter(self._partial))]
        partial = self._partial[key] = _Partial(now + self.timeout)
        return partial

    def _forget_expired(self, now: float) -> None:
        # Deadlines rise in order of insertion: the oldest are at the front.
        for key, partial in list(self._partial.items()):
            if partial.deadline > now:
                break
            del self._partial[key]
