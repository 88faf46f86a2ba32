"""The packet as every part of the lab sees it: one immutable-by-convention record.

A packet is an IP header's fields that matter to NATs, routers and captures, and one of: a UDP payload, a TCP
segment, an ICMP message. Addresses are text (``"192.0.2.1"``, ``"2001:db8::1"``), as the asyncio API gives
and takes them: no conversion on the hot path.

Nobody changes a packet that was sent: translation makes a new one with :meth:`Packet.translated`. The class
is not frozen because a frozen dataclass costs three times as much to build, and packets are what the lab
builds most.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

TransportAddress = tuple[str, int]
"""An IP address as text and a port. ICMP queries carry their identifier in place of the port (RFC 5508)."""

UDP_HEADER_BYTES = 8
TCP_HEADER_BYTES = 20
ICMP_HEADER_BYTES = 8
IPV4_HEADER_BYTES = 20
IPV6_HEADER_BYTES = 40
IPV6_FRAGMENT_HEADER_BYTES = 8

ICMP_ERROR_BYTES = 576
"""The longest ICMP error over IPv4, header included: longer quotations are cut (RFC 1812 §4.3.2.3)."""
ICMPV6_ERROR_BYTES = 1280
"""The same over IPv6 (RFC 4443 §2.4 c)."""


class IpProtocol(enum.IntEnum):
    """IP protocol numbers (IANA); ICMP stands for ICMPv6 as well, the address family tells which."""

    ICMP = 1
    TCP = 6
    UDP = 17


class TcpFlag(enum.IntFlag):
    """TCP control bits (RFC 9293 §3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


class TcpHeader(NamedTuple):
    """The TCP fields that the lab models (RFC 9293 §3.1). ``window`` is in bytes, unscaled."""

    flags: TcpFlag
    sequence: int
    acknowledgement: int
    window: int = 65535


class IcmpType(enum.Enum):
    """What an ICMP message says, whatever the address family. Values are the words shown to people."""

    ECHO_REQUEST = "echo request"
    ECHO_REPLY = "echo reply"
    NETWORK_UNREACHABLE = "network unreachable"
    HOST_UNREACHABLE = "host unreachable"
    PORT_UNREACHABLE = "port unreachable"
    ADMINISTRATIVELY_PROHIBITED = "administratively prohibited"
    FRAGMENTATION_NEEDED = "fragmentation needed"
    TIME_EXCEEDED = "time exceeded"


class IcmpMessage(NamedTuple):
    """An ICMP message.

    Errors quote the packet they are about; ``mtu`` (bytes) goes with FRAGMENTATION_NEEDED.
    """

    type: IcmpType
    quoted: Packet | None = None
    mtu: int = 0

    @property
    def is_error(self) -> bool:
        """Whether this reports on another packet, rather than being a query or its answer."""
        return self.type not in {IcmpType.ECHO_REQUEST, IcmpType.ECHO_REPLY}


class Fragment(NamedTuple):
    """Where a fragment belongs (RFC 791 §3.2): ``offset`` and lengths in bytes of the IP payload.

    Only the first fragment (``offset == 0``) carries ports; in later ones the ports of the packet are 0. What
    the first one's transport header says of the whole is kept in it: ``total_payload``, the bytes of the
    unfragmented payload, and ``payload_sum``, the Internet checksum's sum over them (RFC 1071), so that the
    checksum can be computed after the ports were translated.
    """

    identification: int
    offset: int
    more: bool
    total_payload: int = 0
    payload_sum: int = 0


@dataclass(slots=True)
class Packet:
    """One IP packet. Treat as immutable; see the module's text.

    ``packet_id`` is unique in a trial and kept across translation, so that a ladder can follow one packet
    through a NAT. ``cause_id`` is the packet that made this one be sent (the quoted one for an ICMP error), 0
    for none.
    """

    protocol: IpProtocol
    source: TransportAddress
    destination: TransportAddress
    payload: bytes = b""
    ttl: int = 64
    dscp: int = 0
    dont_fragment: bool = False
    tcp: TcpHeader | None = None
    icmp: IcmpMessage | None = None
    fragment: Fragment | None = None
    packet_id: int = 0
    cause_id: int = 0
    wire_length: int | None = None
    """Bytes charged on the wire in place of the real length (TLS records vary by run: see lab.sim)."""

    def translated(
        self, *, source: TransportAddress | None = None, destination: TransportAddress | None = None
    ) -> Packet:
        """Return a copy with other addresses, as a NAT sends it on; everything else stays."""
        # Field by field: every NAT and router makes a copy of every packet, and a constructor that is called
        # with all of them takes twice as long.
        copy = _new(Packet)
        copy.protocol = self.protocol
        copy.source = self.source if source is None else source
        copy.destination = self.destination if destination is None else destination
        copy.payload = self.payload
        copy.ttl = self.ttl
        copy.dscp = self.dscp
        copy.dont_fragment = self.dont_fragment
        copy.tcp = self.tcp
        copy.icmp = self.icmp
        copy.fragment = self.fragment
        copy.packet_id = self.packet_id
        copy.cause_id = self.cause_id
        copy.wire_length = self.wire_length
        return copy

    @property
    def is_ipv6(self) -> bool:
        """Whether the addresses are IPv6."""
        return ":" in self.source[0]

    @property
    def length(self) -> int:
        """Bytes on the wire at the IP layer: header, transport header, payload (or the charged length)."""
        if self.wire_length is not None:
            return self.wire_length
        header = IPV4_HEADER_BYTES
        if ":" in self.source[0]:
            header = IPV6_HEADER_BYTES + (IPV6_FRAGMENT_HEADER_BYTES if self.fragment is not None else 0)
        if self.fragment is not None and self.fragment.offset:
            return header + len(self.payload)
        if self.protocol is IpProtocol.UDP:
            return header + UDP_HEADER_BYTES + len(self.payload)
        if self.protocol is IpProtocol.TCP:
            return header + TCP_HEADER_BYTES + len(self.payload)
        quoted = 0
        if self.icmp is not None and self.icmp.quoted is not None:
            limit = ICMPV6_ERROR_BYTES if header >= IPV6_HEADER_BYTES else ICMP_ERROR_BYTES
            quoted = min(self.icmp.quoted.length, limit - header - ICMP_HEADER_BYTES)
        return header + ICMP_HEADER_BYTES + quoted + len(self.payload)

    def describe(self) -> str:
        """Return one line for people: ``UDP 192.0.2.1:5000 > 198.51.100.7:3478 (28 bytes)``."""
        source, destination = format_address(self.source), format_address(self.destination)
        what = self.protocol.name
        if self.tcp is not None:
            what += f" {self.tcp.flags.name}"
        if self.icmp is not None:
            what += f" {self.icmp.type.value}"
        return f"{what} {source} > {destination} ({self.length} bytes)"


_new = object.__new__


def format_address(address: TransportAddress) -> str:
    """Return ``host:port``, with brackets round an IPv6 host (RFC 3986 §3.2.2)."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
