"""ICMP through a NAT (RFC 5508): queries by their identifier, errors by the packet that they quote.

An echo request carries its identifier in place of the source port, its reply in place of the destination
port; the other port of the packet means nothing and is left alone. So a query mapping knows remote
*addresses* only: an address- and port-dependent model maps and filters queries by address.
"""

from __future__ import annotations

from collections.abc import Callable

from nat_models.mapping_entry import Permit
from nat_models.mappings import Ends, MappingTable
from nat_models.model import Lifetimes
from nat_models.outcome import DroppedError
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet, TransportAddress


class QueryTranslator:
    """ICMP echo of one address family through its table."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self._seconds = lifetimes.icmp
        self.table: MappingTable

    def first_lifetime(self, _remote: TransportAddress) -> float:
        """Return the seconds that a query gives."""
        return self._seconds

    def outbound(self, packet: Packet, now: float) -> Ends:
        """Return the external address and identifier of a query, and its remote.

        Raises:
            DroppedError: no identifier is left, or it is a reply to nobody's query.
        """
        remote = (packet.destination[0], 0)
        if packet.icmp is not None and packet.icmp.type is IcmpType.ECHO_REPLY:
            raise DroppedError(f"echo reply to no query of {packet.destination[0]}")
        entry = self.table.outgoing(packet.source, remote, now)
        key = self.table.permit_key(remote)
        permit = entry.permits.setdefault(key, Permit(now, now))
        permit.expires = entry.expires = now + self._seconds
        entry.refreshed = now
        return entry.external, packet.destination

    def inbound(self, packet: Packet, now: float) -> Ends:
        """Return the internal address and identifier that a reply is for, and its remote.

        Raises:
            DroppedError: no query has this identifier, or its filter refuses the sender.
        """
        if packet.icmp is not None and packet.icmp.type is IcmpType.ECHO_REQUEST:
            raise DroppedError("echo request to the box itself")
        entry, permit = self.table.incoming(packet.destination, (packet.source[0], 0), now)
        permit.replied = True
        return entry.internal, packet.source


TableOf = Callable[[IpProtocol], MappingTable]


def inbound_error(packet: Packet, table_of: TableOf, now: float) -> Packet:
    """Return an ICMP error as the internal host must see it: about the packet as that host sent it.

    No state is made, refreshed or removed (RFC 4787 REQ-12, RFC 5382 REQ-10, RFC 5508 REQ-6). Who reports
    does not matter: routers on the path are in nobody's filter.

    Raises:
        DroppedError: the quoted packet left by no mapping in force (RFC 5508 REQ-4).
    """
    quoted = _quoted(packet)
    remote = _remote_of(quoted, quoted.destination)
    ends = table_of(quoted.protocol).before_leaving(quoted.source, remote, now)
    if ends is None:
        raise DroppedError(f"ICMP error about a packet that left by no mapping: {quoted.describe()}")
    about = quoted.translated(source=ends[0])
    if quoted.protocol is not IpProtocol.ICMP:
        about.destination = ends[1]
    return _error(packet, packet.source, (ends[0][0], 0), about)


def outbound_error(packet: Packet, table_of: TableOf, now: float) -> Packet:
    """Return an ICMP error as the outside must see it: about the packet as it came to the box.

    See RFC 5508 REQ-5.

    Raises:
        DroppedError: the quoted packet came in by no mapping in force.
    """
    quoted = _quoted(packet)
    remote = _remote_of(quoted, quoted.source)
    ends = table_of(quoted.protocol).before_entering(quoted.destination, remote, now)
    if ends is None:
        raise DroppedError(f"ICMP error about a packet that came in by no mapping: {quoted.describe()}")
    about = quoted.translated(destination=ends[0])
    if quoted.protocol is not IpProtocol.ICMP:
        about.source = ends[1]
    # A router inside may report as well as the host itself: the box's address stands for both.
    return _error(packet, (ends[0][0], 0), packet.destination, about)


def _remote_of(quoted: Packet, remote: TransportAddress) -> TransportAddress:
    return (remote[0], 0) if quoted.protocol is IpProtocol.ICMP else remote


def _quoted(packet: Packet) -> Packet:
    if packet.icmp is None or packet.icmp.quoted is None:
        raise DroppedError("ICMP error that quotes no packet")
    return packet.icmp.quoted


def _error(packet: Packet, source: TransportAddress, destination: TransportAddress, about: Packet) -> Packet:
    assert packet.icmp is not None
    copy = packet.translated(source=source, destination=destination)
    copy.icmp = IcmpMessage(packet.icmp.type, about, packet.icmp.mtu)
    return copy
