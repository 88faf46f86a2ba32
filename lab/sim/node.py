"""What hosts, routers and NAT boxes share: interfaces, a routing table, sending and dropping."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lab.spec.network import Node
from nat_models.answers import echo_reply, tcp_reset
from nat_models.packet import IcmpMessage, IcmpType, IpProtocol, Packet

if TYPE_CHECKING:
    from lab.sim.leg import Leg
    from lab.sim.network import SimNetwork


class NotAnAddressError(ValueError):
    """A packet was to go to what is not an IP address."""


@dataclass(slots=True, eq=False)
class Port:
    """A node's interface: its addresses (text, without prefix length), and the ways to the neighbours met."""

    node: SimNode
    link: str
    addresses: tuple[str, ...]
    outside: bool
    neighbours: dict[str, Leg | None] = field(default_factory=dict)

    def enter(self, packet: Packet) -> None:
        """Take a packet off the link."""
        node = self.node
        network = node.network
        if network.capture is not None:
            network.capture.record(network.loop.now, node.name, self.link, packet, outbound=False)
        node.receive(packet, self)


class _RouteEntry(NamedTuple):
    version: int
    network: int
    mask: int
    length: int
    port: Port
    via: str


class SimNode:
    """A node with IP addresses. Subclasses say what they do with what arrives."""

    forwards = False

    def __init__(self, spec: Node, network: SimNetwork) -> None:
        self.spec = spec
        self.name = spec.name
        self.network = network
        self.loop = network.loop
        self.ports: list[Port] = []
        self.addresses: tuple[str, ...] = ()
        self._own: frozenset[str] = frozenset()
        self._routes: list[_RouteEntry] = []
        self._next_hops: dict[str | tuple[str, str], tuple[Port, str] | None] = {}
        """By destination; by (destination, source) on a node with equal routes, where the source decides."""
        self._first_legs: dict[str, Leg] = {}
        """By destination, where it alone decides: what nearly every packet asks for."""
        self.next_packet_id = network.next_packet_id
        self._has_equal_routes = False

    def attach(self, ports: list[Port]) -> None:
        """Take the interfaces that the network made, and the routes over them of the description."""
        self.ports = ports
        by_family = sorted((a for port in ports for a in port.addresses), key=lambda a: ":" in a)
        self.addresses = tuple(by_family)
        self._own = frozenset(by_family)
        by_link: Mapping[str, Port] = {port.link: port for port in ports}
        self._routes = [
            _RouteEntry(
                route.destination.version,
                int(route.destination.network_address),
                int(route.destination.netmask),
                route.destination.prefixlen,
                by_link[route.link],
                route.via,
            )
            for route in self.spec.routes
            if route.link in by_link
        ]
        self._routes.sort(key=lambda entry: -entry.length)
        prefixes = [(entry.version, entry.network, entry.length) for entry in self._routes]
        self._has_equal_routes = len(set(prefixes)) < len(prefixes)
        self._next_hops.clear()
        self._first_legs.clear()

    def take_apart(self) -> None:
        """Let go of everything, and be of no use from then on (see :meth:`SimNetwork.take_apart`)."""
        for port in self.ports:
            port.neighbours.clear()
        vars(self).clear()

    def owns_address(self, address: str) -> bool:
        """Whether ``address`` is one of this node's own."""
        return address in self._own

    def next_hop(self, destination: str, source: str = "") -> tuple[Port, str] | None:
        """Return (interface, neighbour address) towards ``destination``, or None without a route.

        Of equally long prefixes the one whose interface has the ``source`` address wins, else the first.
        """
        key = (destination, source) if self._has_equal_routes else destination
        try:
            return self._next_hops[key]
        except KeyError:
            found = self._next_hops[key] = self._look_up(destination, source)
            return found

    def _look_up(self, destination: str, source: str) -> tuple[Port, str] | None:
        version, number = _number_of(destination)
        found, best = None, 0
        for of_version, network, mask, length, port, via in self._routes:
            if of_version != version or number & mask != network:
                continue
            if length < best:
                break
            if source in port.addresses:
                return port, via or destination
            if found is None:
                found, best = (port, via or destination), length
        return found

    def source_address_for(self, destination: str) -> str | None:
        """Return the own address that packets to ``destination`` leave from, None without a route."""
        if destination in self._own:
            return destination
        hop = self.next_hop(destination)
        if hop is None:
            return None
        v6 = ":" in destination
        return next((a for a in hop[0].addresses if (":" in a) == v6), None)

    def receive(self, packet: Packet, port: Port) -> None:
        """Take a packet that arrived on ``port``."""
        raise NotImplementedError

    def send_packet(self, packet: Packet) -> None:
        """Route and transmit a packet; it may be lost, which the sender does not learn."""
        leg = self._first_legs.get(packet.destination[0])
        if leg is None or self.network.capture is not None:
            self._find_way(packet)
        else:
            leg.enter(packet)

    def _find_way(self, packet: Packet) -> None:
        """Route a packet by the table, and remember the way where the destination alone decides."""
        destination, network = packet.destination[0], self.network
        hop = self.next_hop(destination, packet.source[0])
        if hop is None:
            self._unroutable(packet)
            return
        port, via = hop
        leg = network.first_leg(port, via)
        if network.capture is not None:
            network.capture.record(network.loop.now, self.name, port.link, packet, outbound=True)
        if leg is None:
            network.drop(packet, self.name, f"nobody on {port.link} has address {via}")
            return
        if not self._has_equal_routes:
            self._first_legs[destination] = leg
        leg.enter(packet)

    def forget_ways(self) -> None:
        """Forget who has which address: the neighbours are found anew."""
        self._first_legs.clear()
        for port in self.ports:
            port.neighbours.clear()

    def _unroutable(self, packet: Packet) -> None:
        self.network.drop(packet, self.name, f"no route to {packet.destination[0]}")

    def forward(self, packet: Packet) -> None:
        """Send on a packet that is not for this node.

        TTL down by one, ICMP time exceeded at zero (RFC 1812 §5.3.1).
        """
        if packet.ttl <= 1:
            self.expire(packet)
            return
        onward = packet.translated()
        onward.ttl = packet.ttl - 1
        self.send_packet(onward)

    def expire(self, packet: Packet) -> None:
        """Drop a packet whose TTL has run out, and tell its sender."""
        self.network.drop(packet, self.name, "time to live exceeded")
        self.send_icmp_error(IcmpType.TIME_EXCEEDED, packet)

    def send_icmp_error(self, kind: IcmpType, about: Packet, mtu: int = 0) -> None:
        """Report on ``about`` to its sender, where that is allowed and there is a way to it."""
        error = self.icmp_error(kind, about, mtu)
        if error is not None:
            self.send_packet(error)

    def icmp_error(self, kind: IcmpType, about: Packet, mtu: int = 0) -> Packet | None:
        """Return a report on ``about`` to its sender.

        None where there is to be none: about an ICMP error, or any fragment but the first (RFC 1122 §3.2.2);
        or where there is no route to the sender.
        """
        if about.icmp is not None and about.icmp.is_error:
            return None
        if about.fragment is not None and about.fragment.offset:
            return None
        source = self.source_address_for(about.source[0])
        if source is None:
            return None
        return Packet(
            IpProtocol.ICMP,
            (source, 0),
            (about.source[0], 0),
            icmp=IcmpMessage(kind, about, mtu),
            packet_id=self.next_packet_id(),
            cause_id=about.packet_id,
        )

    def answer_echo(self, packet: Packet) -> None:
        """Answer an ICMP echo request addressed to this node (RFC 792)."""
        self._send_answer(echo_reply(packet))

    def take(self, packet: Packet) -> None:
        """Take what is addressed to a node without programs: it answers pings and refuses the rest."""
        if packet.icmp is not None and packet.icmp.type is IcmpType.ECHO_REQUEST:
            self.answer_echo(packet)
            return
        self.network.drop(packet, self.name, f"addressed to the {self.spec.kind.value} itself")
        if packet.protocol is IpProtocol.UDP:
            self.send_icmp_error(IcmpType.PORT_UNREACHABLE, packet)
        elif (reset := tcp_reset(packet)) is not None:
            self._send_answer(reset)

    def _send_answer(self, answer: Packet) -> None:
        answer.packet_id = self.next_packet_id()
        self.send_packet(answer)


class SimRouter(SimNode):
    """Forwards by its routing table.

    A destination without a route vanishes silently, as beyond an ISP's edge.
    """

    forwards = True

    def receive(self, packet: Packet, port: Port) -> None:
        """Forward, or take what is addressed to the router itself."""
        if packet.destination[0] in self._own:
            self.take(packet)
            return
        self.forward(packet)


@lru_cache(maxsize=65_536)  # every node on the way looks up the same few
def _number_of(address: str) -> tuple[int, int]:
    """Return IP version and value of an address.

    Raises:
        NotAnAddressError: it is none.
    """
    family = family_of(address)
    try:
        number = int.from_bytes(socket.inet_pton(family, address))
    except (OSError, ValueError):
        raise NotAnAddressError(f"{address!r} is not an IP address") from None
    return (6 if family is socket.AF_INET6 else 4), number


def is_address(name: str) -> bool:
    """Whether text is an IP address rather than a name (no name has a colon, or digits alone)."""
    return ":" in name or name.replace(".", "").isdigit()


def family_of(address: str) -> socket.AddressFamily:
    """Return AF_INET6 for an address with a colon, else AF_INET."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET
