"""A packet trace as a ladder: who is a column, what is a rung, what belongs together. Text and SVG draw it.

Every packet of the trace that the selection keeps is on exactly one rung: alone, or counted on that of the
thing that it sends again (RFC 8489 §6.2.1, RFC 6298), or of the media stream that it is part of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from lab.measure.trace import Journey, PacketKind, PacketTrace, is_in_between, journeys_of, path_order
from lab.spec.network import NodeKind
from lab.spec.roles import ENDPOINT

STREAM_GAP: Final = 1.0
"""Seconds: packets of one stream that far apart are two groups."""
GAP: Final = 0.1
"""Seconds: a pause between rungs from here on is shown as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A stretch in one direction. Positions are column numbers; halves lie between columns.

    ``passed`` are the columns of nodes that the packet crossed on it.
    """

    start: float
    end: float
    passed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a box at a column made of the packet's address."""

    column: int
    text: str


@dataclass(slots=True, kw_only=True)
class Rung:
    """One packet, or a group (``packets`` has all ids). Times in seconds.

    ``reason`` says where and why it was dropped, if it was; its last leg is broken at its end then.
    """

    time: float
    last_time: float
    kind: PacketKind
    words: str
    legs: tuple[Leg, ...]
    marks: tuple[Mark, ...] = ()
    reason: str = ""
    cause_id: int = 0
    packets: list[int] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The packet's number, what it says, between whom; for a group how many and until when."""
        count = len(self.packets)
        if count == 1:
            cause = f" by #{self.cause_id}" if self.cause_id else ""
            return f"#{self.packets[0]}{cause} {self.words}"
        return (
            f"#{self.packets[0]} ×{count} (last #{self.packets[-1]} at {self.last_time:.3f} s) {self.words}"
        )


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Columns by name, rungs by time."""

    title: str
    columns: tuple[str, ...]
    rungs: Sequence[Rung]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which packets to draw.

    ``only``: kinds, all where empty. ``routers``: give routers and switches columns. ``since``, ``until``:
    seconds. ``ends``: two endpoints; packets of other endpoints are left out.
    """

    only: Collection[PacketKind] = ()
    routers: bool = False
    since: float = 0.0
    until: float = float("inf")
    ends: tuple[str, str] | None = None


def ladder_of(trace: PacketTrace, title: str = "", selection: Selection | None = None) -> Ladder:
    """Return the ladder of a trace: columns in path order, retransmissions and streams grouped."""
    chosen = selection or Selection()
    ends = chosen.ends or _two_ends(trace)
    order = path_order(trace.network, *ends)
    journeys = [journey for journey in journeys_of(trace) if _is_chosen(journey, trace, chosen)]
    met = {node for journey in journeys for node in journey.nodes} | set(ends)
    columns = tuple(
        name for name in order if name in met and (chosen.routers or not is_in_between(trace.network, name))
    )
    layout = _Layout(trace, order, columns)
    return Ladder(title=title, columns=columns, rungs=_grouped(journeys, layout))


def _two_ends(trace: PacketTrace) -> tuple[str, str]:
    network = trace.network
    hosts = [node.name for node in network.nodes.values() if node.kind is NodeKind.HOST]
    names = [*network.by_role.get(ENDPOINT, {}), *hosts, *network.nodes]
    return names[0], names[1] if len(names) > 1 else names[0]


def _is_chosen(journey: Journey, trace: PacketTrace, selection: Selection) -> bool:
    first = journey.first
    if not selection.since <= first.time <= selection.until:
        return False
    if selection.only and not any(kind in selection.only for kind in first.kinds):
        return False
    if selection.ends is None:
        return True
    others = set(trace.network.by_role.get(ENDPOINT, {})) - set(selection.ends)
    return others.isdisjoint(journey.nodes)


class _Layout:
    """Where nodes are: columns, or between two of them for those that have none."""

    def __init__(self, trace: PacketTrace, order: Sequence[str], columns: Sequence[str]) -> None:
        self._trace = trace
        shown = set(columns)
        self._number = {name: number for number, name in enumerate(columns)}
        self._position: dict[str, float] = {}
        before = 0
        for name in order:
            self._position[name] = before if name in shown else self._inside(before - 0.5, len(columns))
            before += name in shown

    @staticmethod
    def _inside(position: float, count: int) -> float:
        return min(max(position, 0.5), count - 1.5) if count > 1 else 0.0

    def rung(self, journey: Journey) -> Rung:
        first = journey.first
        reason = self._reason(journey)
        return Rung(
            time=first.time,
            last_time=first.time,
            kind=first.kinds[0],
            words=f"{first.words}  {first.source} → {first.destination}",
            legs=self._legs(journey, broken=bool(reason)),
            marks=tuple(self._marks(journey)),
            reason=reason,
            cause_id=first.cause_id,
            packets=[journey.packet_id],
        )

    def _reason(self, journey: Journey) -> str:
        if journey.dropped is not None:
            where, reason = journey.dropped.where, journey.dropped.reason
            return reason if where in reason else f"dropped at {where}: {reason}"
        if journey.last.outbound:
            return f"on {journey.last.link}, still under way when the trial ended"
        return ""

    def _marks(self, journey: Journey) -> list[Mark]:
        return [
            Mark(
                column=self._number[node],
                text=" ".join([*([f"from {source}"] if source else []), *([f"to {to}"] if to else [])]),
            )
            for node, source, to in journey.rewritings()
            if node in self._number
        ]

    def _legs(self, journey: Journey, *, broken: bool) -> tuple[Leg, ...]:
        nodes = journey.nodes
        ends = {0, len(nodes) - 1}
        places = [self._position[n] for i, n in enumerate(nodes) if n in self._number or i in ends]
        if broken and journey.last.outbound and self._fell_beyond(journey):
            places.append(self._half_way(journey))
        return tuple(_merged(places))

    @staticmethod
    def _fell_beyond(journey: Journey) -> bool:
        return journey.dropped is None or journey.dropped.where != journey.last.node

    def _half_way(self, journey: Journey) -> float:
        """Return the middle of the link that the packet was lost on."""
        last = journey.last
        here = self._position[last.node]
        link = self._trace.network.links.get(last.link)
        there = here
        if link is not None:
            there = self._position[link.b if link.a == last.node else link.a]
        count = len(self._number)
        # Towards a node without a column the link is short: half of it is less than half a column.
        length = min(abs(there - here), 1.0) or 0.5
        step = length / 2 if there > here or (there == here and here < count - 1) else -length / 2
        return self._inside(here + step, count)


def _merged(places: Sequence[float]) -> list[Leg]:
    """Return stretches in one direction each; a packet that never left has one of no length."""
    legs: list[Leg] = []
    start, passed = places[0], list[int]()
    for here, there in pairwise(places):
        if start != here and (here > start) != (there > here) and there != here:
            legs.append(Leg(start=start, end=here, passed=tuple(passed)))
            start, passed = here, []
        elif here != start and here == int(here) and there != here:
            passed.append(int(here))
    if places[-1] != start or not legs:
        legs.append(Leg(start=start, end=places[-1], passed=tuple(passed)))
    return legs


def _grouped(journeys: Sequence[Journey], layout: _Layout) -> list[Rung]:
    """Return a rung for each journey but those that repeat the last one of their exchange or stream."""
    rungs: list[Rung] = []
    latest: dict[tuple[str, ...], tuple[Rung, object]] = {}
    for journey in journeys:
        first = journey.first
        what = first.exchange or first.words
        key = (first.node, first.source, first.destination, what)
        fate = (journey.nodes, tuple(journey.rewritings()), layout._reason(journey))  # noqa: SLF001
        before = latest.get(key)
        if before is not None and before[1] == fate and _goes_on(before[0], journey):
            before[0].packets.append(journey.packet_id)
            before[0].last_time = first.time
            continue
        rung = layout.rung(journey)
        rungs.append(rung)
        latest[key] = rung, fate
    return sorted(rungs, key=lambda rung: rung.time)


def _goes_on(rung: Rung, journey: Journey) -> bool:
    return bool(journey.first.exchange) or journey.first.time - rung.last_time < STREAM_GAP
