"""The mappings of one box for one protocol: by which rule they are found, made, and ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from nat_models.flows import FlowRegister
from nat_models.mapping_entry import MappingEntry, MappingKey, MappingView, Permit, PermitKey
from nat_models.model import (
    Filtering,
    FilterScope,
    Mapping,
    NatModel,
    PortAssignment,
    ReplyReuse,
    Unsolicited,
)
from nat_models.outcome import DroppedError, NatEvent, NatEventKind
from nat_models.packet import IpProtocol, TransportAddress, format_address
from nat_models.separate_flows import SeparateFlows

if TYPE_CHECKING:
    from nat_models.expiry import ExpiryQueue
    from nat_models.ports import PortAllocator

Ends = tuple[TransportAddress, TransportAddress]
"""(the box's or the inside's endpoint, the remote's) of a packet."""

REMEMBERED_ENDS = 1024
"""External endpoints of ended mappings that are kept for the sake of a good drop reason."""

REMEMBERED_SECONDS = 60.0
"""How long an ended filter entry of a living mapping is kept for the same sake."""


class MappingTable:
    """The mappings of one protocol and address family.

    Without ``ports`` the table translates nothing: external and internal endpoint are one, and what is left
    is the state table of a firewall, RFC 4787's filtering without its mapping.

    ``lifetime`` gives the seconds that a new mapping towards a remote lives.
    """

    def __init__(
        self,
        protocol: IpProtocol,
        model: NatModel,
        queue: ExpiryQueue,
        events: list[NatEvent],
        *,
        mapping: Mapping,
        filtering: Filtering,
        unsolicited: Unsolicited,
        reply_reuse: ReplyReuse,
        ports: PortAllocator | None,
        lifetime: Callable[[TransportAddress], float],
    ) -> None:
        self.protocol = protocol
        self.translates = ports is not None
        self._independent = mapping is Mapping.ENDPOINT_INDEPENDENT or not self.translates
        self._by_address = mapping is Mapping.ADDRESS_DEPENDENT
        self.admits_all = filtering is Filtering.ENDPOINT_INDEPENDENT
        self.admits_address = filtering is Filtering.ADDRESS_DEPENDENT
        self._ports = ports
        self._queue = queue
        self._events = events
        self._lifetime = lifetime
        self.shares_permits = model.filter_scope is FilterScope.PER_ENDPOINT
        # Where (external endpoint, remote) must be unique an endpoint may need a second mapping for one
        # remote.
        self._unique_flows = self.translates and (
            model.port_assignment is PortAssignment.PRESERVE_OVERLOAD
            or unsolicited is Unsolicited.INPUT_ACCEPT
        )
        reuse = reply_reuse if self._unique_flows or not self._independent else ReplyReuse.OFF
        self._keeps_flows_apart = reuse is ReplyReuse.SEPARATE_FLOWS
        self._lifetimes = model.lifetimes
        self._latest_inbound = reuse is ReplyReuse.INBOUND_FIRST
        self._pairs_inbound = reuse is not ReplyReuse.OFF and not self._keeps_flows_apart
        self._pairs_outbound = not self._keeps_flows_apart and (
            self._unique_flows or reuse is ReplyReuse.EXISTING_FLOW_FIRST
        )
        self._pairs_any = self._pairs_inbound or self._pairs_outbound
        self.forget_all()

    def forget_all(self) -> None:
        """Lose all state, as a reboot does; queue and port allocator are told separately."""
        self._by_key: dict[MappingKey, MappingEntry] = {}
        self._by_external: dict[TransportAddress, list[MappingEntry]] = {}
        self._permits_of: dict[TransportAddress, dict[PermitKey, Permit]] = {}
        self._of_endpoint: dict[TransportAddress, list[MappingEntry]] = {}
        self._ended: dict[TransportAddress, float] = {}
        self.flows = FlowRegister(unique=self._unique_flows)
        self.separate: SeparateFlows | None = None
        if self._keeps_flows_apart and self._ports is not None:
            self.separate = SeparateFlows(self._lifetimes, self._ports.draw)

    def holds(self, entry: MappingEntry) -> bool:
        """Whether the mapping is still in the table."""
        return entry in self._by_external.get(entry.external, ())

    def views(self) -> Iterator[MappingView]:
        """Yield what is held, mappings that expired unnoticed included."""
        for sharers in self._by_external.values():
            for entry in sharers:
                yield MappingView(
                    protocol=self.protocol,
                    internal=entry.internal,
                    external=entry.external,
                    remote=entry.remote,
                    created=entry.created,
                    expires=entry.expires,
                )

    def permit_key(self, remote: TransportAddress) -> PermitKey:
        """Return what stands for ``remote`` among the permits."""
        return None if self.admits_all else remote[0] if self.admits_address else remote

    def find(self, external: TransportAddress, remote: TransportAddress, now: float) -> MappingEntry | None:
        """Return the living mapping behind ``external``; the filter is not asked."""
        sharers = [entry for entry in self._by_external.get(external, ()) if entry.expires > now]
        if len(sharers) > 1:
            sharers = self._in_turn(sharers, external, remote)
        return sharers[0] if sharers else None

    def outgoing(self, internal: TransportAddress, remote: TransportAddress, now: float) -> MappingEntry:
        """Return the mapping by which a packet leaves, made if there is none.

        Raises:
            ExhaustedError: no port is left.
        """
        if self._pairs_any:
            entry = self.flows.pairs.get((internal, remote))
            if entry is not None and entry.admits(remote, now):
                return entry
        key: MappingKey = internal
        if not self._independent:
            key = (internal, remote[0] if self._by_address else remote)
        entry = self._by_key.get(key)
        if entry is None or entry.expires <= now:
            self._queue.sweep(now)  # frees the ports of mappings that ended unnoticed
            return self._create(key, internal, remote, now)
        if self._unique_flows and self._is_taken(entry.external, internal, remote, now):
            self._queue.sweep(now)
            return self._create(key, internal, remote, now)
        if self._pairs_outbound:
            self.flows.pair(entry, remote)
        return entry

    def leave(
        self, internal: TransportAddress, seen_as: TransportAddress, now: float
    ) -> tuple[MappingEntry, TransportAddress]:
        """Return the mapping by which a packet to a remote as the inside sees it leaves, and the true remote.

        Raises:
            ExhaustedError: no port is left.
            DroppedError: its flow would be taken for another one's.
        """
        separate = self.separate
        if separate is None:
            return self.outgoing(internal, seen_as, now), seen_as
        flow = separate.from_inside(internal, seen_as, now)
        if flow is None:
            flow = separate.open_outward(self.outgoing(internal, seen_as, now), seen_as, now)
        separate.refresh(flow, now, outward=True)
        return flow.entry, flow.remote

    def seen_as(self, entry: MappingEntry, remote: TransportAddress, now: float) -> TransportAddress:
        """Return what the inside sees in place of a remote whose packet comes in by a mapping.

        Raises:
            DroppedError: no port is left to see it as, or the box itself has taken this flow.
        """
        separate = self.separate
        if separate is None:
            return remote
        flow = separate.from_outside(entry.external, remote, now)
        if flow is None:
            if self.flows.is_delivered(entry.external, remote, now):
                raise DroppedError(f"the box itself has a flow with {format_address(remote)} on this port")
            flow = separate.open_inward(entry, remote, now)
        separate.refresh(flow, now, outward=False)
        return flow.seen_as

    def peek(self, internal: TransportAddress, remote: TransportAddress, now: float) -> MappingEntry | None:
        """Return the mapping by which a packet would leave, without making one."""
        entry = self.flows.pairs.get((internal, remote))
        if entry is not None and entry.admits(remote, now):
            return entry
        key: MappingKey = internal
        if not self._independent:
            key = (internal, remote[0] if self._by_address else remote)
        entry = self._by_key.get(key)
        return entry if entry is not None and entry.expires > now else None

    def before_leaving(self, external: TransportAddress, remote: TransportAddress, now: float) -> Ends | None:
        """Return the ends, inside, of a packet that left from ``external`` to ``remote``, as far as known."""
        if self.separate is not None:
            flow = self.separate.from_outside(external, remote, now)
            if flow is not None:
                return flow.entry.internal, flow.seen_as
        entry = self.find(external, remote, now)
        return None if entry is None else (entry.internal, remote)

    def before_entering(
        self, internal: TransportAddress, seen_as: TransportAddress, now: float
    ) -> Ends | None:
        """Return the ends, outside, of a packet that ``internal`` had of ``seen_as``, as far as known."""
        if self.separate is not None:
            flow = self.separate.from_inside(internal, seen_as, now)
            if flow is not None:
                return flow.entry.external, flow.remote
        entry = self.peek(internal, seen_as, now)
        mine = self._of_endpoint.get(internal, ())
        entry = entry or next((entry for entry in mine if entry.admits(seen_as, now)), None)
        return None if entry is None else (entry.external, seen_as)

    def incoming(
        self, external: TransportAddress, remote: TransportAddress, now: float
    ) -> tuple[MappingEntry, Permit]:
        """Return the mapping that a packet from ``remote`` comes in by, and the permit that admits it.

        Raises:
            DroppedError: no mapping, or its filter does not admit ``remote``.
        """
        sharers = self._by_external.get(external)
        if sharers is not None:
            key = None if self.admits_all else remote[0] if self.admits_address else remote
            for entry in sharers if len(sharers) == 1 else self._in_turn(sharers, external, remote):
                if entry.expires > now:
                    permit = entry.permits.get(key)
                    if permit is not None and permit.expires > now:
                        if self._pairs_inbound:
                            self.flows.pair_inbound(entry, remote, now, latest=self._latest_inbound)
                        return entry, permit
        raise DroppedError(self._refusal(external, remote, now))

    def tidy(self, entry: MappingEntry, now: float) -> None:
        """Drop filter state and flows of a living mapping that are past."""
        long_past = now - REMEMBERED_SECONDS
        for key in [key for key, permit in entry.permits.items() if permit.expires <= long_past]:
            del entry.permits[key]
        (self.separate or self.flows).tidy(entry, now)

    def end(self, entry: MappingEntry, at: float) -> None:
        """Remove a mapping that ended at ``at``."""
        if entry.key is not None:
            del self._by_key[entry.key]
        sharers = self._by_external[entry.external]
        sharers.remove(entry)
        if not sharers:
            del self._by_external[entry.external]
        (self.separate or self.flows).drop(entry)
        mine = self._of_endpoint[entry.internal]
        mine.remove(entry)
        if not mine:
            del self._of_endpoint[entry.internal]
            self._permits_of.pop(entry.internal, None)
        if self._ports is not None:
            self._ports.release(self.protocol, entry.internal, entry.external, at)
        self._ended[entry.external] = at
        if len(self._ended) > REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]
        self._report(NatEventKind.EXPIRED, entry, at, idle=at - entry.refreshed)

    def shorten(self, entry: MappingEntry, expires: float, now: float) -> None:
        """Let a mapping end earlier than it would; at once if that is not after ``now``."""
        entry.expires = expires
        self._queue.push(entry)
        self._queue.sweep(now)

    def _create(
        self, key: MappingKey, internal: TransportAddress, remote: TransportAddress, now: float
    ) -> MappingEntry:
        """Make a mapping. One that had the key, and could not serve this remote, keeps its flows alone."""
        external = self._external_for(internal, remote, now)
        permits: dict[PermitKey, Permit] = {}
        if self.shares_permits:
            permits = self._permits_of.setdefault(internal, permits)
        expires = now + self._lifetime(remote)
        entry = MappingEntry(self, key, internal, external, remote, permits, now, expires)
        if before := self._by_key.get(key):
            before.key = None
        self._by_key[key] = entry
        self._by_external.setdefault(external, []).append(entry)
        self._of_endpoint.setdefault(internal, []).append(entry)
        self._queue.push(entry)
        if self._pairs_outbound:
            self.flows.pair(entry, remote)
        self._report(NatEventKind.CREATED, entry, now)
        return entry

    def _external_for(
        self, internal: TransportAddress, remote: TransportAddress, now: float
    ) -> TransportAddress:
        """Return a new external endpoint."""
        if self._ports is None:
            return internal

        def refused(external: TransportAddress) -> bool:
            return self._unique_flows and self._is_taken(external, internal, remote, now)

        return self._ports.allocate(self.protocol, internal, now, refused)

    def _is_taken(
        self, external: TransportAddress, internal: TransportAddress, remote: TransportAddress, now: float
    ) -> bool:
        """Whether packets from ``remote`` to ``external`` belong to another flow than a new one's."""
        if self.separate is None:
            return self.flows.is_taken(external, internal, remote, now)
        there = self.separate.from_outside(external, remote, now)
        return there is not None or self.flows.is_delivered(external, remote, now)

    def _in_turn(
        self, sharers: list[MappingEntry], external: TransportAddress, remote: TransportAddress
    ) -> list[MappingEntry]:
        """The endpoints that share an overloaded port: the flow's owner first, then the newest."""
        newest_first = sharers[::-1]
        if self.separate is None:
            owner = self.flows.owner(external, remote)
        else:
            flow = self.separate.outside.get((external, remote))
            owner = None if flow is None else flow.entry
        if owner not in newest_first:
            return newest_first
        return [owner, *(entry for entry in newest_first if entry is not owner)]

    def _refusal(self, external: TransportAddress, remote: TransportAddress, now: float) -> str:
        self._queue.sweep(now)
        sharers = self._by_external.get(external)
        if sharers is None:
            ended = self._ended.get(external)
            if ended is not None:
                return f"mapping expired {now - ended:.3g} s earlier"
            if not self.translates:
                return f"filter: nothing sent from {format_address(external)} opened the firewall"
            return f"no mapping on port {external[1]}"
        permit = sharers[-1].permits.get(self.permit_key(remote))
        if permit is not None:
            return f"filter: entry for {format_address(remote)} expired {now - permit.expires:.3g} s earlier"
        whom = remote[0] if self.admits_address else format_address(remote)
        return f"filter: {whom} never sent to by this {'endpoint' if self.shares_permits else 'mapping'}"

    def _report(self, kind: NatEventKind, entry: MappingEntry, time: float, idle: float = 0.0) -> None:
        self._events.append(
            NatEvent(
                kind=kind,
                time=time,
                protocol=self.protocol,
                internal=entry.internal,
                external=entry.external,
                remote=entry.remote,
                idle=idle,
            )
        )
