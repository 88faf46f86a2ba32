"""A topology as a checked graph: devices and cables, with every option understood.

The first of three steps to a network: graph (:mod:`lab.spec.topo_reader`), addresses, routes. What it holds
no later step has to doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from lab.errors import Problem
from lab.spec.event import JsonValue
from lab.spec.impairment import Impairment
from lab.spec.network import NodeKind
from lab.spec.roles import ENDPOINT
from nat_models.model import NatModel, Transparency


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressWish:
    """What the author said of a segment's addresses: an IPv4 prefix, an IPv6 one, or just "IPv6 too"."""

    subnet: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    ipv6: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the author left everything to the plan."""
        return self == AddressWish()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """A link as written. ``a`` and ``b`` are device names, ``a_port`` and ``b_port`` Mininet's port numbers.

    One that is not ``attached`` is a place to which its host may move. ``where`` is its place in the author's
    file, for messages.
    """

    label: str
    a: str
    b: str
    a_port: int
    b_port: int
    forward: Impairment
    backward: Impairment
    wish: AddressWish
    where: str
    attached: bool = True

    def other_end(self, device: str) -> str:
        """Return the device at the end that is not ``device``."""
        return self.b if device == self.a else self.a


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A node as written. ``cables`` are labels in port order; ``addresses`` how many of each family it has.

    ``uplink`` is the label of the cable towards the core, empty where the author gave none; ``wish`` is for
    switches alone.
    """

    name: str
    kind: NodeKind
    where: str
    role: str = ""
    uplink: str = ""
    addresses: int = 1
    nat: NatModel | None = None
    wish: AddressWish = field(default_factory=AddressWish)
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    cables: tuple[str, ...] = ()

    @property
    def forwards(self) -> bool:
        """Whether it passes on IP packets that are not for itself."""
        return self.kind in {NodeKind.ROUTER, NodeKind.NAT}

    @property
    def translates(self) -> bool:
        """Whether addresses on its two sides belong to different realms."""
        return self.nat is not None and self.nat.transparency is Transparency.TRANSLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """All devices and cables by name, in the order in which the author added the nodes."""

    devices: Mapping[str, Device]
    cables: Mapping[str, Cable]

    def neighbours(self, name: str) -> Iterator[tuple[Cable, Device]]:
        """Yield each cable of a device with the device at its other end, in port order."""
        for label in self.devices[name].cables:
            cable = self.cables[label]
            yield cable, self.devices[cable.other_end(name)]

    def unreachable(self) -> list[Device]:
        """Return the devices that nothing joins to the first one, in order."""
        waiting = [next(iter(self.devices))]
        reached = set(waiting)
        while waiting:
            for _, device in self.neighbours(waiting.pop()):
                if device.name not in reached:
                    reached.add(device.name)
                    waiting.append(device.name)
        return [device for device in self.devices.values() if device.name not in reached]


def check_detached(graph: Graph) -> list[Problem]:
    """Return a problem for every link that is not attached and is no place for an endpoint to move to."""
    problems = []
    for cable in graph.cables.values():
        ends = [graph.devices[name] for name in (cable.a, cable.b)]
        movers = [device for device in ends if device.role == ENDPOINT]
        if cable.attached or not movers:
            if not cable.attached:
                found = f"link {cable.label!r} is not attached, and joins no endpoint"
                problems.append(Problem(cable.where, found, "a link of an endpoint, which may move to it"))
            continue
        home = next((label for label in movers[0].cables if graph.cables[label].attached), "")
        if not home or movers[0].uplink == cable.label:
            found = f"endpoint {movers[0].name!r} is on no network before it moves to {cable.label!r}"
            suggestion = "give it a link that is attached, and no uplink or that one"
            problems.append(Problem(cable.where, found, suggestion=suggestion))
    return problems


def check_connected(graph: Graph) -> list[Problem]:
    """Return a problem for every device that has no link, or cannot reach the rest."""
    first = next(iter(graph.devices))
    problems = [
        Problem(device.where, f"node {device.name!r} has no link")
        for device in graph.devices.values()
        if not device.cables
    ]
    for device in graph.unreachable():
        if device.cables:
            found = f"node {device.name!r} cannot be reached from {first!r}"
            suggestion = f"link it, or one of its neighbours, towards {first!r}"
            problems.append(Problem(device.where, found, suggestion=suggestion))
    return problems
