"""UDP flows as connection tracking keeps them: :attr:`~nat_models.model.ReplyReuse.SEPARATE_FLOWS`.

Theory of operation. A flow is known by two pairs of ends: (external endpoint, remote) outside and (internal
endpoint, remote) inside. Both belong to one flow only, whichever side began. So where a remote comes in by a
mapping while the pair inside is that of a flow by another mapping, the newcomer is a flow of its own, and its
remote is *seen as* another port of the same address, which is drawn. What the inside sends there leaves by
the mapping that the remote came in by and arrives at its true port.

A flow lives as long as its own timer, which packets of either direction refresh, and never longer than its
mapping. (net/netfilter/nf_nat_core.c: get_unique_tuple, nf_nat_l4proto_unique_tuple; and
nf_conntrack_proto_udp.c. Read, and measured: docs/nat-planes.md.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nat_models.mapping_entry import MappingEntry
from nat_models.model import Lifetimes
from nat_models.outcome import DroppedError
from nat_models.packet import TransportAddress, format_address

Draw = Callable[[str, int, int], int]
"""Draws a number of ``first..last`` for somebody: (whom, first, last)."""

PORT_CLASSES: Final = ((1, 511), (600, 1023), (1024, 65535))
"""The ports among which another one is drawn: low ports stay low."""


class Flow:
    """One flow: its mapping, its remote, and what the inside sees in the remote's place.

    ``answered`` says whether both sides have sent.
    """

    __slots__ = ("answered", "entry", "expires", "from_inside", "made", "remote", "seen_as")

    def __init__(
        self,
        entry: MappingEntry,
        remote: TransportAddress,
        seen_as: TransportAddress,
        now: float,
        *,
        from_inside: bool,
    ) -> None:
        self.entry = entry
        self.remote = remote
        self.seen_as = seen_as
        self.made = self.expires = now
        self.from_inside = from_inside
        self.answered = False

    def lives(self, now: float) -> bool:
        """Whether packets still belong to it."""
        return self.expires > now and self.entry.expires > now


class SeparateFlows:
    """The flows of one mapping table. ``draw`` is where ports come from."""

    def __init__(self, lifetimes: Lifetimes, draw: Draw) -> None:
        self._unanswered = lifetimes.unreplied
        self._answered = lifetimes.udp
        self._stream_after = lifetimes.udp_stream_after
        self._by_port = dict(lifetimes.udp_by_port)
        self._draw = draw
        self.inside: dict[tuple[TransportAddress, TransportAddress], Flow] = {}
        """By (internal endpoint, what it sees in the remote's place)."""
        self.outside: dict[tuple[TransportAddress, TransportAddress], Flow] = {}
        """By (external endpoint, remote)."""

    def from_inside(self, internal: TransportAddress, seen_as: TransportAddress, now: float) -> Flow | None:
        """Return the living flow that a packet from inside belongs to."""
        flow = self.inside.get((internal, seen_as))
        return flow if flow is not None and flow.lives(now) else None

    def from_outside(self, external: TransportAddress, remote: TransportAddress, now: float) -> Flow | None:
        """Return the living flow that a packet from outside belongs to."""
        flow = self.outside.get((external, remote))
        return flow if flow is not None and flow.lives(now) else None

    def open_outward(self, entry: MappingEntry, remote: TransportAddress, now: float) -> Flow:
        """Return a new flow that begins inside.

        Raises:
            DroppedError: the pair outside is that of a flow whose remote is seen as another; netfilter, too,
                drops a packet that may leave by no other port.
        """
        if self.from_outside(entry.external, remote, now) is not None:
            whom, here = format_address(remote), format_address(entry.external)
            raise DroppedError(f"{whom} has a flow to {here} already, in which it is seen as another port")
        return self._open(Flow(entry, remote, remote, now, from_inside=True))

    def open_inward(self, entry: MappingEntry, remote: TransportAddress, now: float) -> Flow:
        """Return a new flow that begins outside, its remote seen as another port if need be.

        Raises:
            DroppedError: no port is left to see it as.
        """
        seen_as = remote
        if self.from_inside(entry.internal, remote, now) is not None:
            seen_as = (remote[0], self._another_port(entry.internal, remote, now))
        return self._open(Flow(entry, remote, seen_as, now, from_inside=False))

    def refresh(self, flow: Flow, now: float, *, outward: bool) -> None:
        """Let a packet set the flow's timer: the longer one where both sides sent, for long enough."""
        lifetime = self._unanswered
        if flow.answered and now - flow.made >= self._stream_after:
            lifetime = self._answered
        if self._by_port:
            lifetime = self._by_port.get(flow.remote[1], lifetime)
        flow.expires = max(flow.expires, now + lifetime)
        if outward is not flow.from_inside:
            flow.answered = True

    def tidy(self, entry: MappingEntry, now: float) -> None:
        """Forget the flows of a living mapping that have ended."""
        kept = []
        for remote in entry.paired:
            flow = self.outside.get((entry.external, remote))
            if flow is not None and flow.entry is entry and flow.lives(now):
                kept.append(remote)
            else:
                self._forget(entry, remote)
        entry.paired = kept

    def drop(self, entry: MappingEntry) -> None:
        """Forget all flows of a mapping that has ended."""
        for remote in entry.paired:
            self._forget(entry, remote)

    def _open(self, flow: Flow) -> Flow:
        entry, remote = flow.entry, flow.remote
        before = self.outside.get((entry.external, remote))
        if before is not None:
            self._forget(before.entry, remote)
        if before is None or before.entry is not entry:
            entry.paired.append(remote)
        self.inside[entry.internal, flow.seen_as] = flow
        self.outside[entry.external, remote] = flow
        return flow

    def _forget(self, entry: MappingEntry, remote: TransportAddress) -> None:
        flow = self.outside.get((entry.external, remote))
        if flow is None or flow.entry is not entry:
            return
        del self.outside[entry.external, remote]
        if self.inside.get((entry.internal, flow.seen_as)) is flow:
            del self.inside[entry.internal, flow.seen_as]

    def _another_port(self, internal: TransportAddress, remote: TransportAddress, now: float) -> int:
        address, port = remote
        first, last = next(ports for ports in PORT_CLASSES if port <= ports[1])
        size = last - first + 1
        start = self._draw(f"{address} seen by {internal[0]}", first, last)
        for step in range(size):
            drawn = first + (start - first + step) % size
            if self.from_inside(internal, (address, drawn), now) is None:
                return drawn
        raise DroppedError(f"no port is left as which {format_address(remote)} could be seen")
