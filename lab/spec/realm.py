"""Segments and realms of a graph: who shares a wire, and where an address means the same host.

A segment is what one packet reaches without a router: a cable, or a switch with all its cables. A realm is a
set of segments between which packets pass untranslated (RFC 2663 §2.1); every translating NAT's inside is a
realm of its own, so two homes may use the same private prefix. IPv6 is never translated: for it, the whole
network is one realm.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from lab.errors import Problem, UsageError
from lab.spec.graph import AddressWish, Device, Graph
from lab.spec.network import NodeKind


class RealmKind(enum.Enum):
    """Where a realm's addresses come from."""

    PUBLIC = "public"
    PRIVATE = "private"
    SHARED = "shared"
    """Inside a NAT, with further NATs inside: between a carrier-grade NAT and its customers (RFC 6598)."""


class Port(NamedTuple):
    """Where a device meets a segment: the device's name and the cable's label."""

    device: str
    cable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What one packet reaches without a router. ``name`` is the switch's name, or the cable's label.

    ``ports`` are those of hosts, routers and NAT boxes, in the graph's order; ``cables`` all labels.
    """

    name: str
    cables: tuple[str, ...]
    ports: tuple[Port, ...]
    wish: AddressWish
    where: str

    @property
    def key(self) -> str:
        """What tells it from all others: a switch may have the name of some link's label."""
        return self.cables[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """Segments between which IPv4 packets pass untranslated."""

    kind: RealmKind
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Layout:
    """A graph with its segments and realms."""

    graph: Graph
    segments: tuple[Segment, ...]
    realms: tuple[Realm, ...]

    @cached_property
    def segment_of(self) -> Mapping[str, Segment]:
        """The segment that each cable is part of, by label."""
        return {label: segment for segment in self.segments for label in segment.cables}

    @cached_property
    def gateways(self) -> Mapping[str, tuple[Port, ...]]:
        """The ports through which each segment is left, by segment key.

        They are those of devices that forward and do not hang on the segment.
        """
        return {
            segment.key: tuple(port for port in segment.ports if self._is_gateway(port))
            for segment in self.segments
        }

    def _is_gateway(self, port: Port) -> bool:
        device = self.graph.devices[port.device]
        return device.forwards and device.uplink != port.cable

    def exit_from(self, device: Device, cable: str) -> Port | None:
        """Return the next hop of ``device`` for everything beyond ``cable``, None where nothing leads on.

        A router that is an end of the cable itself is meant; across a switch, the segment's first gateway.
        """
        gateways = self.gateways[self.segment_of[cable].key]
        return next((port for port in gateways if port.device != device.name), None)


def lay_out(graph: Graph) -> Layout:
    """Return the graph's segments and realms.

    Raises:
        UsageError: a segment described twice, a NAT with the same network on both sides, a router inside a
            NAT without an uplink, uplinks in a circle.
    """
    segments = tuple(_segments(graph))
    problems = [problem for segment in segments for problem in _described_twice(graph, segment)]
    realms = _Realms(graph, segments)
    problems += realms.problems()
    layout = Layout(graph, segments, realms.result())
    problems = problems or [*_routers_without_uplink(layout), *_circles(layout)]
    if problems:
        raise UsageError(*problems)
    return layout


def _segments(graph: Graph) -> Iterator[Segment]:
    seen: set[str] = set()
    order = _Order(graph)
    for label in graph.cables:
        if label not in seen:
            cables, switches = _flood(graph, label)
            seen |= cables.keys()
            yield _segment(
                graph,
                cables=tuple(sorted(cables, key=order.cables.__getitem__)),
                switches=sorted(switches, key=order.devices.__getitem__),
                ports=tuple(sorted(_ports(graph, cables), key=order.ports.__getitem__)),
            )


class _Order:
    """Where each device, cable and port stands in the graph: thousands are sorted, not searched."""

    def __init__(self, graph: Graph) -> None:
        ports = [Port(device.name, label) for device in graph.devices.values() for label in device.cables]
        self.devices = {name: number for number, name in enumerate(graph.devices)}
        self.cables = {label: number for number, label in enumerate(graph.cables)}
        self.ports = {port: number for number, port in enumerate(ports)}


def _flood(graph: Graph, label: str) -> tuple[dict[str, None], dict[str, None]]:
    """Return the cables and switches that a frame on cable ``label`` reaches."""
    cables: dict[str, None] = {label: None}
    switches: dict[str, None] = {}
    waiting = [label]
    while waiting:
        cable = graph.cables[waiting.pop()]
        for end in (cable.a, cable.b):
            if graph.devices[end].kind is NodeKind.SWITCH and end not in switches:
                switches[end] = None
                fresh = [further for further in graph.devices[end].cables if further not in cables]
                cables.update(dict.fromkeys(fresh))
                waiting += fresh
    return cables, switches


def _ports(graph: Graph, cables: Iterable[str]) -> set[Port]:
    """Return where hosts, routers and NAT boxes meet one of these cables."""
    return {
        Port(end, label)
        for label in cables
        for end in (graph.cables[label].a, graph.cables[label].b)
        if graph.devices[end].kind is not NodeKind.SWITCH
    }


def _segment(
    graph: Graph, *, cables: tuple[str, ...], switches: list[str], ports: tuple[Port, ...]
) -> Segment:
    if not switches:
        cable = graph.cables[cables[0]]
        return Segment(name=cable.label, cables=cables, ports=ports, wish=cable.wish, where=cable.where)
    described = [name for name in switches if not graph.devices[name].wish.is_empty]
    first = graph.devices[(described or switches)[0]]
    return Segment(name=switches[0], cables=cables, ports=ports, wish=first.wish, where=first.where)


def _described_twice(graph: Graph, segment: Segment) -> Iterator[Problem]:
    cables = [graph.cables[label] for label in segment.cables]
    ends = dict.fromkeys(end for cable in cables for end in (cable.a, cable.b))
    named = {name for name in ends if not graph.devices[name].wish.is_empty}
    if len(named) < 2:
        return
    wishing = [device for device in graph.devices.values() if device.name in named]
    for further in wishing[1:]:
        found = (
            f"switches {wishing[0].name!r} and {further.name!r} are one segment, and both say its addresses"
        )
        yield Problem(further.where, found, suggestion="keep the options on one of them")


class _Realms:
    """Joins segments into realms (union-find over segment numbers)."""

    def __init__(self, graph: Graph, segments: tuple[Segment, ...]) -> None:
        self._graph = graph
        self._segments = segments
        self._number = {label: n for n, segment in enumerate(segments) for label in segment.cables}
        self._parent = list(range(len(segments)))
        for device in graph.devices.values():
            if device.forwards:
                self._join([label for label in device.cables if not self._is_outside(device, label)])
        self._translating = [device for device in graph.devices.values() if device.translates]
        self._insides = {self._inside(nat) for nat in self._translating}
        self._outsides = {self._root(nat.uplink) for nat in self._translating}

    @staticmethod
    def _is_outside(device: Device, label: str) -> bool:
        return device.translates and label == device.uplink

    def _root(self, label: str) -> int:
        number, parent = self._number[label], self._parent
        while parent[number] != number:
            number = parent[number] = parent[parent[number]]  # halves the path for whoever asks next
        return number

    def _join(self, labels: list[str]) -> None:
        for label in labels[1:]:
            self._parent[self._root(label)] = self._root(labels[0])

    def _inside(self, nat: Device) -> int:
        return self._root(next(label for label in nat.cables if label != nat.uplink))

    def result(self) -> tuple[Realm, ...]:
        """Return the realms in the order of their first segment."""
        members: dict[int, list[Segment]] = {}
        for segment in self._segments:
            members.setdefault(self._root(segment.cables[0]), []).append(segment)
        return tuple(Realm(kind=self._kind(root), segments=tuple(found)) for root, found in members.items())

    def _kind(self, root: int) -> RealmKind:
        if root not in self._insides:
            return RealmKind.PUBLIC
        return RealmKind.SHARED if root in self._outsides else RealmKind.PRIVATE

    def problems(self) -> Iterator[Problem]:
        """Yield NATs whose two sides are one network, and a network without any public side."""
        looped = [nat for nat in self._translating if self._inside(nat) == self._root(nat.uplink)]
        for nat in looped:
            found = f"NAT {nat.name!r} has the same network inside and outside: another router joins them"
            yield Problem(nat.where, found, suggestion="remove that link, or make the NAT the only way out")
        if not looped and all(realm.kind is not RealmKind.PUBLIC for realm in self.result()):
            first = self._translating[0]
            found = f"every network is inside a NAT: following uplinks from {first.name!r} comes back to it"
            yield Problem(
                first.where, found, suggestion="give the outermost NAT an uplink towards the internet"
            )


def _routers_without_uplink(layout: Layout) -> Iterator[Problem]:
    """Yield routers inside a NAT that do not say where out is; a public one may be the core."""
    inside = {
        label
        for realm in layout.realms
        if realm.kind is not RealmKind.PUBLIC
        for segment in realm.segments
        for label in segment.cables
    }
    for device in layout.graph.devices.values():
        if device.kind is NodeKind.ROUTER and not device.uplink and inside.intersection(device.cables):
            neighbours = ", ".join(neighbour.name for _, neighbour in layout.graph.neighbours(device.name))
            found = f"router {device.name!r} is inside a NAT and does not say which neighbour leads out"
            yield Problem(device.where, found, f'uplink="..." with one of {neighbours}')


def _circles(layout: Layout) -> Iterator[Problem]:
    """Yield one problem for each circle of uplinks, told at its first device."""
    devices = layout.graph.devices
    told: set[str] = set()
    for start in devices.values():
        path: list[str] = []
        device: Device | None = start if start.forwards else None
        while device is not None and device.name not in path:
            path.append(device.name)
            onward = layout.exit_from(device, device.uplink) if device.uplink else None
            device = devices[onward.device] if onward else None
        if device is not None and device.name not in told:
            circle = path[path.index(device.name) :]
            told.update(circle)
            found = f"uplinks go round in a circle: {' -> '.join([*circle, device.name])}"
            yield Problem(device.where, found, suggestion="one of them has to point towards the core")
