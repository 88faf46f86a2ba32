"""MTU: what does not fit is cut into fragments, or refused with "fragmentation needed"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.protocols.fragmentation import natural_length
from lab.protocols.impairment.decision import Decision

if TYPE_CHECKING:
    from nat_models.packet import Packet


def fits(packet: Packet, mtu: int) -> bool:
    """Return whether the packet crosses a link of that MTU (bytes) whole."""
    return natural_length(packet) <= mtu


def refusal(packet: Packet, mtu: int, label: str) -> Decision | None:
    """Return the refusal of a packet that does not fit, or None when it is to be fragmented.

    IPv4 without "don't fragment" is fragmented (RFC 791 §3.2). IPv4 with it is dropped with ICMP type 3 code
    4 (RFC 1191 §4), IPv6 with "packet too big" (RFC 4443 §3.2): routers do not fragment IPv6; its sender
    does, with :func:`lab.protocols.fragmentation.fragment_packet`.
    """
    is_error = packet.icmp is not None and packet.icmp.is_error
    if not (packet.is_ipv6 or packet.dont_fragment or is_error):
        return None
    why = "IPv6 is not fragmented on the way" if packet.is_ipv6 else "it may not be fragmented"
    reason = f"too big for {label}: {natural_length(packet)} bytes, MTU {mtu}, and {why}"
    # Never an error about an error (RFC 1122 §3.2.2).
    return Decision(reason=reason, mtu=0 if is_error else mtu)
