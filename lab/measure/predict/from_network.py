"""What stands before each host of a network: so a described network can be asked what is possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lab.errors import UsageError, did_you_mean
from lab.measure.predict.network import PeerNetwork, PermissionKey, PresentFor, RelayPlacement
from lab.measure.predict.prediction import Prediction, predict
from lab.spec.network import Network, Node, NodeKind
from lab.spec.roles import RELAY, STUN, STUN_PORT, TURN_TCP_PORT, TURN_TLS_PORT, first_address


def predict_call(
    network: Network, alice: str, bob: str, *, present_for: PresentFor = PresentFor.BOTH
) -> Prediction:
    """Return what is possible between two hosts of a network, over IPv4, from its description alone.

    A host with several interfaces is taken by its first one. ``present_for`` says who may use the network's
    relay, if it has one.

    Raises:
        UsageError: no such host.
    """
    ways = [list(_way_out(network, _host(network, name))) for name in (alice, bob)]
    shared = _shared(*ways)
    return predict(
        _peer(network, alice, ways[0]),
        _peer(network, bob, ways[1]),
        _relay(network, present_for),
        shared_layers=shared,
        inside_routed=not shared or _meet_inside(ways[0][-shared], ways[1][-shared]),
    )


class _Step(NamedTuple):
    """A NAT box on the way out, and which of its own addresses packets came to."""

    box: Node
    gateway: str


def _host(network: Network, name: str) -> Node:
    node = network.nodes.get(name)
    if node is None or node.kind is not NodeKind.HOST:
        hosts = [n.name for n in network.nodes.values() if n.kind is NodeKind.HOST]
        raise UsageError(f"no host {name!r} in {network.name}; {did_you_mean(name, hosts)}")
    return node


def _way_out(network: Network, host: Node) -> Iterator[_Step]:
    """Yield the NAT boxes on the way from a host to the core, innermost first: along the default routes."""
    by_address: dict[str, list[Node]] = {}
    for node in network.nodes.values():
        for interface in node.interfaces:
            for address in interface.addresses:
                by_address.setdefault(address.partition("/")[0], []).append(node)
    here, passed = host, {host.name}
    while True:
        step = _gateway(network, here, by_address)
        if step is None or step.box.name in passed:
            return
        here = step.box
        passed.add(here.name)
        if here.nat is not None:
            yield step


def _gateway(network: Network, node: Node, by_address: dict[str, list[Node]]) -> _Step | None:
    for route in node.routes:
        if route.via and route.destination.prefixlen == 0 and route.destination.version == 4:
            reachable = _on_segment(network, node.name, route.link)
            nodes = (n for n in by_address.get(route.via, ()) if n.name in reachable)
            return next((_Step(node, route.via) for node in nodes), None)
    return None


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


def _meet_inside(a: _Step, b: _Step) -> bool:
    """Whether packets between two inside networks of a box pass; within one of them they do not cross it."""
    return a.gateway == b.gateway or not a.box.options.get("isolate", False)


def _shared(a: list[_Step], b: list[_Step]) -> int:
    count = 0
    for mine, theirs in zip(reversed(a), reversed(b), strict=False):
        if mine.box.name != theirs.box.name:
            break
        count += 1
    return count


def _peer(network: Network, name: str, way: list[_Step]) -> PeerNetwork:
    layers = tuple(step.box.nat for step in way if step.box.nat is not None)
    external = way[-1].box.external_addresses if way else ()
    return PeerNetwork(layers=layers, address=next(iter(external), first_address(network.nodes[name])))


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
