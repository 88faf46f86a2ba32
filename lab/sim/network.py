"""The running network of one trial: nodes joined by links, a drop log, a capture, a name table."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lab.protocols.impairment import Fate, LinkDirection, aim
from lab.sim.host import SimHost
from lab.sim.nat_box import SimNatBox
from lab.sim.node import Port, SimNode, SimRouter, is_address
from lab.sim.segments import Segments
from lab.spec.event import TIME_DIGITS, Event, EventType, JsonValue
from lab.spec.impairment_options import describe_impairment
from lab.spec.network import Interface, Network, NodeKind
from lab.spec.seeds import derive_seed, stream
from nat_models.packet import Packet

if TYPE_CHECKING:
    from lab.sim.capture import Capture
    from lab.sim.clock import VirtualLoop
    from lab.sim.leg import Leg
    from lab.spec.impairment import Impairment
    from lab.spec.packet_drop import DropPackets

_RUNTIME: Mapping[NodeKind, type[SimNode]] = {
    NodeKind.HOST: SimHost,
    NodeKind.ROUTER: SimRouter,
    NodeKind.NAT: SimNatBox,
}


_FATES = {Fate.DUPLICATE: EventType.PACKET_DUPLICATED, Fate.REORDER: EventType.PACKET_REORDERED}


class SimNetwork:
    """Builds a :class:`~lab.spec.network.Network` and carries its packets.

    Every random stream is named by (run seed, trial key, entity, purpose): see :mod:`lab.spec.seeds`.
    """

    def __init__(
        self,
        spec: Network,
        loop: VirtualLoop,
        *,
        run_seed: int = 0,
        trial_key: str = "",
        capture: Capture | None = None,
    ) -> None:
        self.spec = spec
        self.loop = loop
        self.capture = capture
        self.events: list[Event] = []
        self.listener: Callable[[Event], None] | None = None
        """Who hears of each event as it happens (the lab handle)."""
        self.packets_sent = 0
        self._rounded = (0.0, 0.0)
        """A time of the clock, and as events have it."""
        self._run_seed = run_seed
        self._trial_key = trial_key
        self._names = {name.lower(): addresses for name, addresses in spec.dns.items()}
        self.directions = self._make_directions()
        self.nodes: dict[str, SimNode] = {}
        for node in spec.nodes.values():
            if node.kind is not NodeKind.SWITCH:
                self.nodes[node.name] = _RUNTIME[node.kind](node, self)
        self._join()

    def _make_directions(self) -> dict[tuple[str, str], LinkDirection]:
        made = {}
        for link in self.spec.links.values():
            for sender, impairment in ((link.a, link.forward), (link.b, link.backward)):
                name = f"{link.label} from {sender}"
                made[link.label, sender] = LinkDirection(impairment, self.seed(name, "impairment"), name)
        return made

    def _join(self) -> None:
        self._segments = Segments(self.spec, self.directions)
        for name, node in self.nodes.items():
            interfaces = [one for one in self.spec.nodes[name].interfaces if one.attached]
            ports = [_make_port(node, interface) for interface in interfaces]
            self._segments.add(ports)
            node.attach(ports)

    # Names, numbers, records

    def seed(self, entity: str, purpose: str) -> int:
        """Return the seed of one named stream of this trial."""
        return derive_seed(self._run_seed, self._trial_key, entity, purpose)

    def random(self, entity: str, purpose: str) -> random.Random:
        """Return a generator for one named stream of this trial."""
        return stream(self._run_seed, self._trial_key, entity, purpose)

    def next_packet_id(self) -> int:
        """Return a packet id unique in the trial, counting from 1."""
        self.packets_sent += 1
        return self.packets_sent

    def resolve(self, name: str, family: int = 0) -> list[str]:
        """Return the addresses of a name (an address is its own), IPv4 first.

        Raises:
            socket.gaierror: the name does not exist, or has no address of that family.
        """
        known = self._names.get(name.lower().removesuffix("."), ())
        addresses = [name] if is_address(name) else sorted(known, key=lambda a: ":" in a)
        wanted = [a for a in addresses if not family or (":" in a) == (family == socket.AF_INET6)]
        if not wanted:
            raise socket.gaierror(socket.EAI_NONAME, f"no such name in this network: {name}")
        return wanted

    def emit(
        self, type_: EventType, *, node: str = "", call: str = "", packet_id: int = 0, cause_id: int = 0,
        count: int = 1, **data: JsonValue,
    ) -> None:  # fmt: skip
        """Record an event now."""
        self.record(
            Event(
                time=self.event_time(), type=type_, node=node, call=call,
                packet_id=packet_id, cause_id=cause_id, count=count, data=data,
            )
        )  # fmt: skip

    def event_time(self) -> float:
        """Return the time of an event that happens now (seconds, as events have it).

        Rounding costs as much as the rest of an event, and of ten events nine happen at the time of the last.
        """
        now = self.loop.now
        if now != self._rounded[0]:
            self._rounded = (now, round(now, TIME_DIGITS))
        return self._rounded[1]

    def record(self, event: Event) -> None:
        """Keep an event, and tell the lab handle of it."""
        self.events.append(event)
        if self.listener is not None:
            self.listener(event)

    def drop(self, packet: Packet, where: str, reason: str, index: int = -1) -> None:
        """Record that a packet ended here, and why, in words; on a link with its ``index`` there."""
        numbered: dict[str, Any] = {"index": index} if index >= 0 else {}
        self.emit(
            EventType.PACKET_DROPPED, node=where, packet_id=packet.packet_id, cause_id=packet.cause_id,
            reason=reason, packet=packet.describe(), **numbered,
        )  # fmt: skip
        if self.capture is not None:
            self.capture.record_drop(self.loop.now, where, packet, reason)

    def note_fate(self, packet: Packet, where: str, fate: Fate, index: int) -> None:
        """Record what a link did to a packet that arrives all the same: sent it twice, or ahead of others."""
        for one, type_ in _FATES.items():
            if one in fate:
                self.emit(
                    type_, node=where, packet_id=packet.packet_id, cause_id=packet.cause_id,
                    packet=packet.describe(), index=index,
                )  # fmt: skip

    def power_off(self) -> None:
        """End every host: what they still hold open must not outlive the trial."""
        for node in self.nodes.values():
            if isinstance(node, SimHost):
                node.power_off()

    def take_apart(self) -> None:
        """Undo the knot of references that a network is; nothing of it can be used afterwards.

        The garbage collector would undo it, too, and take five times as long: it visits everything that is
        alive or not several times before it frees anything.
        """
        for node in self.nodes.values():
            node.take_apart()
        vars(self).clear()

    def host(self, name: str) -> SimHost:
        """Return a host by name (KeyError or TypeError if there is no such host.

        The plan was checked before).
        """
        node = self.nodes[name]
        if not isinstance(node, SimHost):
            raise TypeError(f"{name} is a {node.spec.kind.value}, not a host")
        return node

    # Places

    def detach(self, name: str) -> None:
        """Take a host off its links: it has no address and no route; packets to it find nobody."""
        host = self.host(name)
        gone = host.ports
        self._segments.remove(gone)
        self._forget_ways()
        links: list[JsonValue] = [port.link for port in gone]
        self.emit(EventType.HOST_DETACHED, node=name, links=links, addresses=[*host.addresses])
        host.move_to([])

    def attach(self, name: str, label: str) -> None:
        """Attach a host by one of its links, as the topology plans it, and by no other."""
        host = self.host(name)
        self._segments.remove(host.ports)
        interface = next(one for one in host.spec.interfaces if one.link == label)
        ports = [_make_port(host, interface)]
        self._segments.add(ports)
        self._forget_ways()
        host.move_to(ports)
        self.emit(EventType.HOST_ATTACHED, node=name, link=label, addresses=[*host.addresses])

    def _forget_ways(self) -> None:
        """Forget who has which address: everybody finds the neighbours anew."""
        for node in self.nodes.values():
            node.forget_ways()

    # Links

    def impair(self, label: str, forward: Impairment, backward: Impairment) -> None:
        """Change both directions of a link from now on; packets in flight are not touched."""
        for direction, impairment in zip(self._both(label), (forward, backward), strict=True):
            direction.change(impairment, self.loop.now)
        link = self.spec.links[label]
        for end in (link.a, link.b):
            host = self.nodes.get(end)
            if isinstance(host, SimHost):
                host.note_link_mtus()
        settings = {link.a: describe_impairment(forward), link.b: describe_impairment(backward)}
        self.emit(EventType.LINK_CHANGED, link=label, settings={**settings})

    def cut(self, label: str) -> None:
        """Drop everything on a link, both ways, until healed."""
        for direction in self._both(label):
            direction.cut()
        self.emit(EventType.LINK_CHANGED, link=label, settings="cut")

    def heal(self, label: str) -> None:
        """Undo :meth:`cut`."""
        for direction in self._both(label):
            direction.heal()
        self.emit(EventType.LINK_CHANGED, link=label, settings="healed")

    def drop_packets(self, drop: DropPackets) -> None:
        """Lose what ``drop`` says from now on; each direction counts its own packets.

        Raises:
            ValueError: a packet that is named by its index has been sent already.
        """
        link = self.spec.links[drop.link]
        aim(drop, {end: self.directions[drop.link, end] for end in (link.a, link.b)})
        self.emit(EventType.LINK_CHANGED, link=drop.link, settings=str(drop))

    def _both(self, label: str) -> tuple[LinkDirection, LinkDirection]:
        link = self.spec.links[label]
        return self.directions[label, link.a], self.directions[label, link.b]

    def first_leg(self, port: Port, neighbour: str) -> Leg | None:
        """Return the way out of ``port`` to the neighbour with that address, None where nobody has it."""
        if neighbour not in port.neighbours:
            port.neighbours[neighbour] = self._segments.first_leg(port, neighbour)
        return port.neighbours[neighbour]


def _make_port(node: SimNode, interface: Interface) -> Port:
    addresses = tuple(address.partition("/")[0] for address in interface.addresses)
    return Port(node, interface.link, addresses, interface.outside)
