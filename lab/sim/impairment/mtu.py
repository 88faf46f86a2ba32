"""MTU: what does not fit is cut into fragments, or refused with "fragmentation needed"."""

from __future__ import annotations

from lab.sim.fragmentation import fragment_packet, natural_length
from lab.sim.impairment.decision import Decision
from nat_models.packet import IcmpMessage, IcmpType, Packet


def refuse_or_fragment(packet: Packet, mtu: int, label: str) -> Decision | None:
    """Return None for a packet that fits in ``mtu`` bytes, else the decision about it.

    IPv4 without "don't fragment" is fragmented (RFC 791 §3.2). IPv4 with it is dropped with ICMP type 3 code 4
    (RFC 1191 §4), IPv6 with "packet too big" (RFC 4443 §3.2): routers do not fragment IPv6; its sender does, with
    :func:`lab.sim.fragmentation.fragment_packet`.
    """
    length = natural_length(packet)
    if length <= mtu:
        return None
    if not packet.is_ipv6 and not packet.dont_fragment:
        return Decision(fragments=fragment_packet(packet, mtu))
    why = "IPv6 is not fragmented on the way" if packet.is_ipv6 else "it says don't fragment"
    reason = f"too big for {label}: {length} bytes, MTU {mtu}, and {why}"
    if packet.icmp is not None and packet.icmp.is_error:
        return Decision(reason=reason)  # never an error about an error (RFC 1122 §3.2.2)
    return Decision(reason=reason, icmp=IcmpMessage(IcmpType.FRAGMENTATION_NEEDED, packet, mtu))
