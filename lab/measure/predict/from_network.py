"""What stands before each host of a network: so a described network can be asked what is possible."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lab.errors import UsageError, did_you_mean
from lab.measure.predict.network import PeerNetwork, PermissionKey, PresentFor, RelayPlacement
from lab.measure.predict.prediction import Prediction, predict, union
from lab.spec.network import Network, Node, NodeKind, Route
from lab.spec.roles import RELAY, STUN, STUN_PORT, TURN_TCP_PORT, TURN_TLS_PORT, first_address
from nat_models.model import NatModel, Transparency


class _Step(NamedTuple):
    """A NAT box on the way out, and which of its own addresses packets came to."""

    box: Node
    gateway: str


@dataclass(frozen=True, slots=True)
class _Access:
    """One of a host's ways out: the boxes of one default route, innermost first, for one address family.

    ``number`` counts a host's ways of one family; the first is the one that its TURN client takes.
    """

    family: int
    number: int
    address: str
    steps: tuple[_Step, ...]

    @property
    def has_relay(self) -> bool:
        """Whether the allocation is made over it: relayed addresses are IPv4 here."""
        return self.family == 4 and not self.number

    @property
    def peer(self) -> PeerNetwork:
        """What is before the host on this way, and its address as others see it."""
        layers = tuple(
            _in_family(step.box.nat, self.family) for step in self.steps if step.box.nat is not None
        )
        outermost = self.steps[-1].box.external_addresses if self.steps else ()
        external = [a for a in outermost if _family(a) == self.family] if self.family == 4 else []
        return PeerNetwork(layers=layers, address=external[0] if external else self.address)


def predict_call(
    network: Network, alice: str, bob: str, *, present_for: PresentFor = PresentFor.BOTH
) -> Prediction:
    """Return what is possible between two hosts of a network, from its description alone.

    A host with several ways out (links with default routes of their own, IPv4 and IPv6) tries each.
    ``present_for`` says who may use the network's relay, if it has one. Of several, the first stands for all.

    Raises:
        UsageError: no such host.
    """
    ways = [list(_accesses(network, _host(network, name))) for name in (alice, bob)]
    return union(
        _between(network, a, b, present_for) for a in ways[0] for b in ways[1] if a.family == b.family
    )


def _between(network: Network, a: _Access, b: _Access, present_for: PresentFor) -> Prediction:
    if not a.has_relay:
        present_for &= ~PresentFor.ALICE
    if not b.has_relay:
        present_for &= ~PresentFor.BOB
    shared = _shared(a.steps, b.steps)
    return predict(
        a.peer,
        b.peer,
        _relay(network, present_for),
        shared_layers=shared,
        inside_routed=not shared or _meet_inside(a.steps[-shared], b.steps[-shared]),
    )


def _host(network: Network, name: str) -> Node:
    node = network.nodes.get(name)
    if node is None or node.kind is not NodeKind.HOST:
        hosts = [n.name for n in network.nodes.values() if n.kind is NodeKind.HOST]
        raise UsageError(f"no host {name!r} in {network.name}; {did_you_mean(name, hosts)}")
    return node


def _accesses(network: Network, host: Node) -> Iterator[_Access]:
    by_address: dict[str, list[Node]] = {}
    for node in network.nodes.values():
        for interface in node.interfaces:
            for address in interface.addresses:
                by_address.setdefault(address.partition("/")[0], []).append(node)
    for family in (4, 6):
        for number, (route, address) in enumerate(_own_routes(host, family)):
            yield _Access(family, number, address, tuple(_way_out(network, host, route, by_address)))


def _own_routes(host: Node, family: int) -> Iterator[tuple[Route | None, str]]:
    """Yield the host's default routes, each with its address on that link; None for an address without."""
    addresses = {
        interface.link: text.partition("/")[0]
        for interface in reversed(host.interfaces)
        if interface.attached
        for text in reversed(interface.addresses)
        if _family(text) == family
    }
    routes = [route for route in _default_routes(host, family) if route.link in addresses]
    for route in routes:
        yield route, addresses[route.link]
    if addresses and not routes:
        yield None, next(reversed(addresses.values()))


def _default_routes(node: Node, family: int) -> list[Route]:
    return [
        r for r in node.routes if r.via and not r.destination.prefixlen and r.destination.version == family
    ]


def _way_out(
    network: Network, host: Node, first: Route | None, by_address: dict[str, list[Node]]
) -> Iterator[_Step]:
    """Yield the NAT boxes on the way from a host to the core, innermost first: along the default routes."""
    here, route, passed = host, first, {host.name}
    while route is not None:
        reachable = _on_segment(network, here.name, route.link)
        gateway = next((n for n in by_address.get(route.via, ()) if n.name in reachable), None)
        if gateway is None or gateway.name in passed:
            return
        passed.add(gateway.name)
        if gateway.nat is not None:
            yield _Step(gateway, route.via)
        here, route = gateway, next(iter(_default_routes(gateway, route.destination.version)), None)


def _on_segment(network: Network, node: str, label: str) -> set[str]:
    """Return the nodes that share a segment with ``node``, through switches."""
    found: set[str] = set()
    waiting = [(node, label)]
    while waiting:
        sender, crossing = waiting.pop()
        link = network.links[crossing]
        receiver = network.nodes[link.b if link.a == sender else link.a]
        if receiver.name in found:
            continue
        found.add(receiver.name)
        if receiver.kind is NodeKind.SWITCH:
            waiting += [(receiver.name, i.link) for i in receiver.interfaces if i.link != crossing]
    return found


def _in_family(model: NatModel, family: int) -> NatModel:
    """Return the box as it is for one address family: IPv6 is filtered, and never translated."""
    if family == 6 and model.transparency is Transparency.TRANSLATE:
        return replace(model, transparency=Transparency.FIREWALL)
    return model


def _meet_inside(a: _Step, b: _Step) -> bool:
    """Whether packets between two inside networks of a box pass; within one of them they do not cross it."""
    return a.gateway == b.gateway or not a.box.options.get("isolate", False)


def _shared(a: Sequence[_Step], b: Sequence[_Step]) -> int:
    count = 0
    for mine, theirs in zip(reversed(a), reversed(b), strict=False):
        if mine.box.name != theirs.box.name:
            break
        count += 1
    return count


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _relay(network: Network, present_for: PresentFor) -> RelayPlacement:
    relays = network.by_role.get(RELAY, {})
    if not relays:
        return RelayPlacement(stun=STUN in network.by_role)
    relay = next(iter(relays.values()))
    return RelayPlacement(
        present_for=present_for,
        permission_key=PermissionKey(str(relay.options.get("permission_key", "ip"))),
        stun_shares_address=STUN not in network.by_role,
        stun_port=STUN_PORT,
        udp_ports=(STUN_PORT,),
        tcp_ports=(TURN_TCP_PORT,),
        tls_ports=(TURN_TLS_PORT,),
        address=first_address(relay),
    )
