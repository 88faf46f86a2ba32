"""Packets that a box makes itself: ICMP errors, TCP resets and echo replies.

Their ``packet_id`` is 0 (the caller numbers them) and their ``cause_id`` the packet that they answer.
"""

from __future__ import annotations

from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TcpFlag, TcpHeader


def icmp_error(about: Packet, kind: IcmpType) -> Packet | None:
    """Return an ICMP error to the sender of ``about``, from the address it was sent to.

    None where RFC 1122 §3.2.2 forbids one: about an ICMP error, and about any fragment but the first.
    """
    if about.icmp is not None and about.icmp.is_error:
        return None
    if about.fragment is not None and about.fragment.offset:
        return None
    return Packet(
        IpProtocol.ICMP,
        (about.destination[0], 0),
        (about.source[0], 0),
        icmp=IcmpMessage(kind, about),
        cause_id=about.packet_id,
    )


def tcp_reset(about: Packet) -> Packet | None:
    """Return the reset that a closed port sends (RFC 9293 §3.10.7.1); None about a reset or no TCP."""
    header = about.tcp
    if header is None or header.flags & TcpFlag.RST:
        return None
    if header.flags & TcpFlag.ACK:
        answer = TcpHeader(TcpFlag.RST, header.acknowledgement, 0)
    else:
        length = len(about.payload) + bool(header.flags & TcpFlag.SYN) + bool(header.flags & TcpFlag.FIN)
        answer = TcpHeader(TcpFlag.RST | TcpFlag.ACK, 0, (header.sequence + length) % 2**32)
    return Packet(IpProtocol.TCP, about.destination, about.source, tcp=answer, cause_id=about.packet_id)


def echo_reply(request: Packet) -> Packet:
    """Return the answer to an echo request: addresses and identifier swapped, same data (RFC 792)."""
    return Packet(
        IpProtocol.ICMP,
        request.destination,
        request.source,
        request.payload,
        icmp=IcmpMessage(IcmpType.ECHO_REPLY),
        cause_id=request.packet_id,
    )
