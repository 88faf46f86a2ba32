"""What stands before each host of a network: so a described network can be asked what is possible."""

from __future__ import annotations

from collections.abc import Iterator

from lab.errors import UsageError, did_you_mean
from lab.measure.predict.network import PeerNetwork, PermissionKey, PresentFor, RelayPlacement
from lab.measure.predict.prediction import Prediction, predict
from lab.spec.network import Network, Node, NodeKind
from lab.spec.roles import RELAY, STUN, STUN_PORT, TURN_TCP_PORT, TURN_TLS_PORT, first_address


def predict_call(network: Network, alice: str, bob: str) -> Prediction:
    """Return what is possible between two hosts of a network, over IPv4, from its description alone.

    A host with several interfaces is taken by its first one.

    Raises:
        UsageError: no such host.
    """
    boxes = {name: list(_boxes_before(network, _host(network, name))) for name in (alice, bob)}
    shared = _shared(boxes[alice], boxes[bob])
    innermost = boxes[alice][len(boxes[alice]) - shared] if shared else None
    return predict(
        _peer(network, alice, boxes[alice]),
        _peer(network, bob, boxes[bob]),
        _relay(network),
        shared_layers=shared,
        inside_routed=innermost is None or not innermost.options.get("isolate", False),
    )


def _host(network: Network, name: str) -> Node:
    node = network.nodes.get(name)
    if node is None or node.kind is not NodeKind.HOST:
        hosts = [n.name for n in network.nodes.values() if n.kind is NodeKind.HOST]
        raise UsageError(f"no host {name!r} in {network.name}; {did_you_mean(name, hosts)}")
    return node


def _boxes_before(network: Network, host: Node) -> Iterator[Node]:
    """Yield the NAT boxes on the way from a host to the core, innermost first: along the default routes."""
    by_address: dict[str, list[Node]] = {}
    for node in network.nodes.values():
        for interface in node.interfaces:
            for address in interface.addresses:
                by_address.setdefault(address.partition("/")[0], []).append(node)
    here, passed = host, {host.name}
    while True:
        gateway = _gateway(network, here, by_address)
        if gateway is None or gateway.name in passed:
            return
        passed.add(gateway.name)
        if gateway.nat is not None:
            yield gateway
        here = gateway


def _gateway(network: Network, node: Node, by_address: dict[str, list[Node]]) -> Node | None:
    for route in node.routes:
        if route.via and route.destination.prefixlen == 0 and route.destination.version == 4:
            reachable = _on_segment(network, node.name, route.link)
            return next((n for n in by_address.get(route.via, ()) if n.name in reachable), None)
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


def _shared(a: list[Node], b: list[Node]) -> int:
    count = 0
    for mine, theirs in zip(reversed(a), reversed(b), strict=False):
        if mine.name != theirs.name:
            break
        count += 1
    return count


def _peer(network: Network, name: str, boxes: list[Node]) -> PeerNetwork:
    layers = tuple(box.nat for box in boxes if box.nat is not None)
    return PeerNetwork(layers=layers, address=first_address(network.nodes[name]))


def _relay(network: Network) -> RelayPlacement:
    relays = network.by_role.get(RELAY, {})
    if not relays:
        return RelayPlacement(stun=STUN in network.by_role)
    relay = next(iter(relays.values()))
    return RelayPlacement(
        present_for=PresentFor.BOTH,
        permission_key=PermissionKey(relay.options.get("permission_key", "ip")),
        stun_shares_address=STUN not in network.by_role,
        stun_port=STUN_PORT,
        udp_ports=(STUN_PORT,),
        tcp_ports=(TURN_TCP_PORT,),
        tls_ports=(TURN_TLS_PORT,),
        address=first_address(relay),
    )
