"""IP fragmentation and reassembly (RFC 791 §3.2, RFC 8200 §4.5), on the lab's packets.

The IP payload of a packet is its transport header and its payload. The first fragment keeps the transport header as
the packet's fields; later ones are bytes alone, with ports 0, as nat_models.packet says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from nat_models.packet import (
    ICMP_HEADER_BYTES,
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    TCP_HEADER_BYTES,
    UDP_HEADER_BYTES,
    Fragment,
    IpProtocol,
    Packet,
)

IPV6_FRAGMENT_HEADER_BYTES: Final = 8
_TRANSPORT_HEADER_BYTES: Final = {
    IpProtocol.UDP: UDP_HEADER_BYTES,
    IpProtocol.TCP: TCP_HEADER_BYTES,
    IpProtocol.ICMP: ICMP_HEADER_BYTES,
}
