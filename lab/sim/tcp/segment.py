"""A TCP segment between the state machine and the network, and arithmetic on sequence numbers.

The state machine counts in plain integers that never wrap; a segment carries the 32 bits of the wire
(:func:`to_wire`, :func:`from_wire`).

**Charged length.** The sequence space of the simulated TCP counts *charged* bytes: of a TLS flight, whose
real size differs from run to run, a fixed size rounded up (:mod:`lab.sim.tls`). ``length`` is what a
segment occupies in sequence space, windows and on the wire; ``payload`` is what it carries, at most as
long. The difference is padding **in front** of the payload: however the real size varies, the last byte
arrives with the last segment, so that the receiver answers at the same moment in every run. Segments
without padding are ordinary TCP.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

from nat_models.packet import (
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    TCP_HEADER_BYTES,
    IpProtocol,
    Packet,
    TcpFlag,
    TcpHeader,
    TransportAddress,
)

FIN: Final = int(TcpFlag.FIN)
SYN: Final = int(TcpFlag.SYN)
RST: Final = int(TcpFlag.RST)
PSH: Final = int(TcpFlag.PSH)
ACK: Final = int(TcpFlag.ACK)
_FLAGS: Final = tuple(TcpFlag(bits) for bits in range(32))  # looking one up costs a tenth of making one

_MASK: Final = 0xFFFFFFFF
_HALF: Final = 1 << 31


Bytes = TypeVar("Bytes", bytes, memoryview)


class Segment(NamedTuple):
    """One segment. ``flags`` is a sum of the constants above; numbers are those of the wire (32 bits)."""

    flags: int
    sequence: int
    acknowledgement: int = 0
    window: int = 0
    payload: bytes = b""
    length: int = 0

    @property
    def span(self) -> int:
        """Sequence numbers it occupies: payload, SYN and FIN (SEG.LEN of RFC 9293 §3.3.1)."""
        return self.length + bool(self.flags & SYN) + bool(self.flags & FIN)


def to_wire(number: int) -> int:
    """Return the 32 bits of an ever-growing sequence number."""
    return number & _MASK


def from_wire(number: int, near: int) -> int:
    """Return the ever-growing number nearest to ``near`` whose 32 bits are ``number``."""
    return near + ((number - near + _HALF) & _MASK) - _HALF


def trim_front(payload: Bytes, length: int, count: int) -> tuple[Bytes, int]:
    """Return payload and length without the first ``count`` charged bytes; padding goes first."""
    real = count - (length - len(payload))
    return (payload[real:] if real > 0 else payload), length - count


def header_bytes(address: str) -> int:
    """Return the bytes of the IP and TCP headers in front of a segment's payload."""
    return TCP_HEADER_BYTES + (IPV6_HEADER_BYTES if ":" in address else IPV4_HEADER_BYTES)


def segment_of(packet: Packet) -> Segment:
    """Return the segment that a TCP packet carries."""
    header = packet.tcp
    assert header is not None
    payload = packet.payload
    length = len(payload)
    if packet.wire_length is not None:
        length = max(length, packet.wire_length - header_bytes(packet.source[0]))
    return Segment(int(header.flags), header.sequence, header.acknowledgement, header.window, payload, length)


def packet_of(
    segment: Segment, source: TransportAddress, destination: TransportAddress, packet_id: int, cause_id: int
) -> Packet:
    """Return the packet that carries a segment; it must not be fragmented (path MTU discovery, RFC 1191)."""
    flags, sequence, acknowledgement, window, payload, length = segment
    charged = None if length == len(payload) else length + header_bytes(source[0])
    return Packet(
        IpProtocol.TCP,
        source,
        destination,
        payload,
        dont_fragment=True,
        tcp=TcpHeader(_FLAGS[flags], sequence, acknowledgement, window),
        packet_id=packet_id,
        cause_id=cause_id,
        wire_length=charged,
    )


def answer_closed(segment: Segment) -> Segment | None:
    """Return the reset for a segment that belongs to no connection, None for a reset (RFC 9293 §3.10.7.1)."""
    if segment.flags & RST:
        return None
    if segment.flags & ACK:
        return Segment(RST, segment.acknowledgement)
    return Segment(RST | ACK, 0, to_wire(segment.sequence + segment.span))
