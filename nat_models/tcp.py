"""TCP through a mapping table (RFC 5382): sessions, their timers, and inbound SYNs that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator

from nat_models.mapping_entry import MappingEntry, Permit
from nat_models.mappings import Ends, MappingTable
from nat_models.model import NatModel
from nat_models.outcome import DroppedError
from nat_models.packet import Packet, TcpFlag, TransportAddress, format_address
from nat_models.tcp_tracking import TcpSession, TcpState, is_initial_syn


class TcpTranslator:
    """TCP of one address family through its table. A mapping lives as long as its longest-lived session."""

    def __init__(self, model: NatModel) -> None:
        self._established = model.lifetimes.tcp_established
        self._transitory = model.lifetimes.tcp_transitory
        self._behaviour = model.tcp
        self.table: MappingTable

    def first_lifetime(self, _remote: TransportAddress) -> float:
        """Return the seconds that a first segment gives."""
        return self._transitory

    def outbound(self, packet: Packet, now: float) -> Ends:
        """Return the external endpoint that a segment leaves from, and its remote.

        Raises:
            DroppedError: no port is left, or the segment belongs to no session and opens none.
        """
        assert packet.tcp is not None
        remote, flags = packet.destination, int(packet.tcp.flags)
        entry = self.table.peek(packet.source, remote, now)
        session = None if entry is None else _living(entry, remote, now)
        if entry is None or session is None:
            if not is_initial_syn(flags) and not (self._behaviour.pick_up and not flags & TcpFlag.RST):
                raise DroppedError(f"no TCP session with {format_address(remote)}")
            # Looked up anew: it may be another mapping that a new flow leaves by.
            entry = self.table.outgoing(packet.source, remote, now)
            session = _begin(entry, remote, now)
            if not is_initial_syn(flags):
                session.assume_open()
        key = self.table.permit_key(remote)
        if key not in entry.permits:
            entry.permits[key] = Permit(now, now)
        session.saw(flags, outbound=True)
        self._refresh(entry, session, remote, now)
        return entry.external, remote

    def inbound(self, packet: Packet, now: float) -> Ends:
        """Return the internal endpoint that a segment is for, and its remote.

        Raises:
            DroppedError: no mapping, its filter refuses the sender, or the segment belongs to no session.
        """
        assert packet.tcp is not None
        remote, flags = packet.source, int(packet.tcp.flags)
        entry, permit = self.table.incoming(packet.destination, remote, now)
        session = _living(entry, remote, now)
        if session is None:
            if not is_initial_syn(flags):
                raise DroppedError(f"no TCP session with {format_address(remote)}")
            session = _begin(entry, remote, now)
        elif is_initial_syn(flags) and not self._behaviour.simultaneous_open and not session.inbound:
            raise DroppedError("a SYN that crosses an outbound SYN is refused (no simultaneous open)")
        permit.replied = True
        session.saw(flags, outbound=False)
        internal = entry.internal
        self._refresh(entry, session, remote, now)
        return internal, remote

    def _refresh(
        self, entry: MappingEntry, session: TcpSession, remote: TransportAddress, now: float
    ) -> None:
        state = session.state
        lifetime = self._transitory
        if state is TcpState.OPEN:
            lifetime = self._established
        elif state is TcpState.RESET:
            lifetime = self._behaviour.rst_hold
        expires = session.expires = now + lifetime
        entry.refreshed = now
        permit = entry.permits[self.table.permit_key(remote)]
        if expires < permit.expires and not self.table.shares_permits:
            # A shared permit is not shortened: it may stand for a session of another mapping.
            permit.expires = max(s.expires for s in self._sessions_of(entry, permit))
        else:
            permit.expires = max(permit.expires, expires)
        if expires >= entry.expires:
            entry.expires = expires
            return
        longest = max(s.expires for s in entry.sessions.values())
        if longest < entry.expires:
            self.table.shorten(entry, longest, now)

    def _sessions_of(self, entry: MappingEntry, permit: Permit) -> Iterator[TcpSession]:
        for remote, session in entry.sessions.items():
            if entry.permits.get(self.table.permit_key(remote)) is permit:
                yield session


def _living(entry: MappingEntry, remote: TransportAddress, now: float) -> TcpSession | None:
    session = entry.sessions.get(remote)
    return session if session is not None and session.expires > now else None


def _begin(entry: MappingEntry, remote: TransportAddress, now: float) -> TcpSession:
    for other in [r for r, session in entry.sessions.items() if session.expires <= now]:
        del entry.sessions[other]
    session = entry.sessions[remote] = TcpSession(now)
    return session
