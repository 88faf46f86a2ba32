"""Flows that are tied to a mapping: reply reuse, and the uniqueness that connection tracking keeps.

A *pair* ties (internal endpoint, remote) to one mapping, where the mapping rule alone would not say so. It
lasts as long as the permit of that remote at that mapping.

Connection tracking also keeps (external endpoint, remote) unique: a port may be shared between internal
endpoints as long as their remotes differ, and a packet that the box took for itself holds its pair of
endpoints too.
"""

from __future__ import annotations

from collections.abc import Iterable

from nat_models.mapping_entry import MappingEntry
from nat_models.packet import TransportAddress

Flow = tuple[TransportAddress, TransportAddress]
"""(internal or external endpoint, remote)."""

DELIVERED_LIMIT = 4096
"""Flows to the box itself that are remembered at most; the oldest are forgotten first."""


class FlowRegister:
    """The flows of one mapping table. ``unique``: (external endpoint, remote) belongs to one flow only."""

    def __init__(self, *, unique: bool) -> None:
        self._unique = unique
        self.pairs: dict[Flow, MappingEntry] = {}
        self._owners: dict[Flow, MappingEntry] = {}
        self._delivered: dict[Flow, float] = {}

    def pair(self, entry: MappingEntry, remote: TransportAddress) -> None:
        """Tie the flow between the mapping's internal endpoint and ``remote`` to the mapping."""
        flow = (entry.internal, remote)
        if self.pairs.get(flow) is not entry:
            self.pairs[flow] = entry
            entry.paired.append(remote)
        if self._unique:
            self._owners[entry.external, remote] = entry

    def pair_inbound(
        self, entry: MappingEntry, remote: TransportAddress, now: float, *, latest: bool
    ) -> None:
        """Tie a flow to the mapping it came in by; unless ``latest``, a living pair of that flow stays."""
        paired = self.pairs.get((entry.internal, remote))
        if paired is not entry and (latest or paired is None or not paired.admits(remote, now)):
            self.pair(entry, remote)

    def owner(self, external: TransportAddress, remote: TransportAddress) -> MappingEntry | None:
        """Return the mapping that packets from ``remote`` to ``external`` belong to, if that was settled."""
        return self._owners.get((external, remote))

    def is_taken(
        self, external: TransportAddress, internal: TransportAddress, remote: TransportAddress, now: float
    ) -> bool:
        """Whether packets from ``remote`` to ``external`` belong to somebody other than ``internal``."""
        if self.is_delivered(external, remote, now):
            return True
        owner = self._owners.get((external, remote))
        return owner is not None and owner.internal != internal and owner.admits(remote, now)

    def is_delivered(self, external: TransportAddress, remote: TransportAddress, now: float) -> bool:
        """Whether the box itself has the flow from ``remote`` to ``external``."""
        return self._delivered.get((external, remote), now) > now

    def deliver(self, external: TransportAddress, remote: TransportAddress, now: float, until: float) -> None:
        """Remember that a packet from ``remote`` to ``external`` was taken by the box itself."""
        self._delivered[external, remote] = until
        if len(self._delivered) > DELIVERED_LIMIT:
            self._delivered = {flow: end for flow, end in self._delivered.items() if end > now}
        while len(self._delivered) > DELIVERED_LIMIT:
            del self._delivered[next(iter(self._delivered))]

    def tidy(self, entry: MappingEntry, now: float) -> None:
        """Untie the flows of a living mapping whose permits have ended."""
        ended = [remote for remote in entry.paired if not entry.admits(remote, now)]
        if ended:
            self._untie(entry, ended)
            entry.paired = [remote for remote in entry.paired if entry.admits(remote, now)]

    def drop(self, entry: MappingEntry) -> None:
        """Untie all flows of a mapping that has ended."""
        self._untie(entry, entry.paired)

    def _untie(self, entry: MappingEntry, remotes: Iterable[TransportAddress]) -> None:
        for remote in remotes:
            if self.pairs.get((entry.internal, remote)) is entry:
                del self.pairs[entry.internal, remote]
            if self._owners.get((entry.external, remote)) is entry:
                del self._owners[entry.external, remote]
