"""What every packet of a trial did, step by step, without the bytes: what ladders and explanations read.

A packet is known by its id from where it was first sent to where it ended, through every box that rewrote
it. :func:`journeys_of` strings its steps together.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from lab.spec.network import Network, NodeKind

_ROUNDING: Final = 1e-9
"""Seconds: stored events are rounded to the nanosecond, packets are not."""


class PacketKind(enum.StrEnum):
    """What a packet belongs to, as ``--only`` names it; a check in ChannelData is of two kinds."""

    STUN = "stun"
    TURN = "turn"
    MEDIA = "media"
    TCP = "tcp"
    DNS = "dns"
    ICMP = "icmp"
    UDP = "udp"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketStep:
    """A packet as one interface sent (``outbound``) or got it at ``time`` (seconds).

    ``source`` and ``destination`` are ``host:port`` as they were there and then. ``exchange`` is equal in
    packets that are transmissions of one thing (STUN transaction, TCP sequence number), empty where each
    packet is new. ``is_check`` tells ICE's connectivity checks (RFC 8445 §7.1) from other Binding requests.
    """

    time: float
    node: str
    link: str
    outbound: bool
    packet_id: int
    cause_id: int
    source: str
    destination: str
    kinds: tuple[PacketKind, ...]
    words: str
    exchange: str = ""
    is_check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketDrop:
    """A packet that ended at ``time``, at ``where`` (a node, or ``LINK from NODE``), and why.

    ``packet_id`` is the dropped packet's; 0 where a box gave up something it held.
    """

    time: float
    where: str
    packet_id: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PacketTrace:
    """All packets of a trial. ``steps`` in the order in which they happened."""

    network: Network
    steps: Sequence[PacketStep]
    drops: Sequence[PacketDrop]


@dataclass(slots=True, eq=False)
class Journey:
    """One packet's way, or one copy's of it. ``dropped`` is None for one that arrived."""

    steps: list[PacketStep] = field(default_factory=list)
    dropped: PacketDrop | None = None

    @property
    def first(self) -> PacketStep:
        """Where it began."""
        return self.steps[0]

    @property
    def last(self) -> PacketStep:
        """The last interface that saw it."""
        return self.steps[-1]

    @property
    def packet_id(self) -> int:
        """The packet's number in its trial."""
        return self.first.packet_id

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it was at, in order, each once a visit."""
        found: list[str] = []
        for step in self.steps:
            if not found or found[-1] != step.node:
                found.append(step.node)
        return tuple(found)

    def rewritings(self) -> Iterator[tuple[str, str, str]]:
        """Yield (node, new source, new destination) of every box that changed one; ``""`` for what stayed."""
        for before, after in pairwise(self.steps):
            if before.node == after.node and not before.outbound and after.outbound:
                source = after.source if after.source != before.source else ""
                destination = after.destination if after.destination != before.destination else ""
                if source or destination:
                    yield after.node, source, destination


def journeys_of(trace: PacketTrace) -> list[Journey]:
    """Return the journeys of all packets, in the order they began.

    A packet that a link duplicated or fragmented has one journey for each copy that arrived.
    """
    by_packet: dict[int, list[Journey]] = {}
    every: list[Journey] = []
    for step in trace.steps:
        known = by_packet.setdefault(step.packet_id, [])
        journey = _continued(known, step)
        if journey is None:
            journey = Journey(_lead_to(known, step))
            known.append(journey)
            every.append(journey)
        journey.steps.append(step)
    for drop in trace.drops:
        ended = _ended(by_packet.get(drop.packet_id, []), drop)
        if ended is not None:
            ended.dropped = drop
    return every


def _continued(known: Sequence[Journey], step: PacketStep) -> Journey | None:
    """Return the journey that this step goes on with."""
    for journey in known:
        last = journey.last
        if last.outbound == step.outbound:
            continue
        if step.outbound:
            if last.node == step.node:
                return journey
        elif (last.source, last.destination) == (step.source, step.destination):
            return journey
    return None


def _lead_to(known: Sequence[Journey], step: PacketStep) -> list[PacketStep]:
    """Return where a second copy parted from the first: the sending that both have in common."""
    if step.outbound:
        return []
    for journey in known:
        for sent in reversed(journey.steps):
            same = (sent.source, sent.destination) == (step.source, step.destination)
            if sent.outbound and same and sent.node != step.node:
                return [sent]
    return []


def _ended(known: Sequence[Journey], drop: PacketDrop) -> Journey | None:
    """Return which copy of a packet a drop ended."""
    alive = [
        journey for journey in known if journey.dropped is None and journey.last.time <= drop.time + _ROUNDING
    ]
    at_node = [journey for journey in alive if journey.last.node == drop.where]
    under_way = [journey for journey in alive if journey.last.outbound]
    return next(iter(at_node or under_way or alive), None)


def path_order(network: Network, caller: str, callee: str) -> list[str]:
    """Return all nodes along the way from one to the other, what branches off right after where it does."""
    joined: dict[str, list[str]] = {name: [] for name in network.nodes}
    for link in network.links.values():
        joined[link.a].append(link.b)
        joined[link.b].append(link.a)
    way = _shortest_way(joined, caller, callee)
    order: list[str] = []
    seen = set(way)
    for node in way:
        order.append(node)
        waiting = [name for name in reversed(joined[node]) if name not in seen]
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                order.append(name)
                waiting += [further for further in reversed(joined[name]) if further not in seen]
    return order + [name for name in network.nodes if name not in seen]


def _shortest_way(joined: Mapping[str, Iterable[str]], start: str, end: str) -> list[str]:
    came_from = {start: ""}
    waiting = [start]
    for here in waiting:
        for there in joined[here]:
            if there not in came_from:
                came_from[there] = here
                waiting.append(there)
    way = [end] if end in came_from else []
    while way and way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1] or [start]


def is_in_between(network: Network, node: str) -> bool:
    """Whether a node only passes packets on: a router or a switch."""
    return network.nodes[node].kind in {NodeKind.ROUTER, NodeKind.SWITCH}
