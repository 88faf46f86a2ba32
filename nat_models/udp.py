"""UDP through a mapping table: lifetimes, and which packets refresh them (RFC 4787 §4.3).

Nearly every packet of a lab runs through the two methods here: they look things up and move a time.
"""

from __future__ import annotations

from nat_models.mapping_entry import Permit
from nat_models.mappings import Ends, MappingTable
from nat_models.model import Lifetimes, Refresh
from nat_models.packet import Packet, TransportAddress


class UdpTranslator:
    """UDP of one address family through its table."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self._unreplied = lifetimes.unreplied
        self._replied = lifetimes.udp
        self._stream_after = lifetimes.udp_stream_after
        self._by_port = dict(lifetimes.udp_by_port)
        self._by_outbound = lifetimes.udp_refresh is not Refresh.INBOUND
        self._by_inbound = lifetimes.udp_refresh is not Refresh.OUTBOUND
        self.table: MappingTable

    def first_lifetime(self, remote: TransportAddress) -> float:
        """Return the seconds that a packet to a new remote gives."""
        return self._by_port.get(remote[1], self._unreplied)

    def outbound(self, packet: Packet, now: float) -> Ends:
        """Return the external endpoint that a packet leaves from, and the remote that it goes to.

        Raises:
            ExhaustedError: no port is left.
            DroppedError: its flow would be taken for another one's.
        """
        table = self.table
        remote = packet.destination
        if table.separate is None:
            entry = table.outgoing(packet.source, remote, now)
        else:
            entry, remote = table.leave(packet.source, remote, now)
        key = None if table.admits_all else remote[0] if table.admits_address else remote
        permit = entry.permits.get(key)
        if permit is None or permit.expires <= now:
            expires = now + self.first_lifetime(remote)
            entry.permits[key] = Permit(now, expires)
        elif self._by_outbound:
            lifetime = self._unreplied
            if permit.replied and now - permit.made >= self._stream_after:
                lifetime = self._replied
            if self._by_port:
                lifetime = self._by_port.get(remote[1], lifetime)
            expires = now + lifetime
            if expires > permit.expires:  # noqa: PLR1730 - max() is a call, on every packet
                permit.expires = expires
        else:
            return entry.external, remote
        if self._by_outbound:
            entry.refreshed = now
            if expires > entry.expires:  # noqa: PLR1730
                entry.expires = expires
        return entry.external, remote

    def inbound(self, packet: Packet, now: float) -> Ends:
        """Return the internal endpoint that a packet is for, and the remote as it is to be seen there.

        Raises:
            DroppedError: no mapping, or its filter refuses the sender; or it cannot be told from another.
        """
        table = self.table
        remote = packet.source
        entry, permit = table.incoming(packet.destination, remote, now)
        seen_as = remote if table.separate is None else table.seen_as(entry, remote, now)
        permit.replied = True
        if self._by_inbound:
            lifetime = self._replied if now - permit.made >= self._stream_after else self._unreplied
            if self._by_port:
                lifetime = self._by_port.get(remote[1], lifetime)
            expires = now + lifetime
            entry.refreshed = now
            if expires > permit.expires:  # noqa: PLR1730 - max() is a call, on every packet
                permit.expires = expires
            if expires > entry.expires:  # noqa: PLR1730
                entry.expires = expires
        return entry.internal, seen_as
