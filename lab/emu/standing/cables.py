"""Which cable each link of a standing lab is, who is on it, and what a box is told about its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from lab.emu.servers.coturn import vanishing_routes
from lab.emu.settings import device_names, mac_address, node_commands, wire_devices
from lab.errors import Problem, UsageError
from lab.spec.network import Network, Node, NodeKind
from lab.spec.roles import RELAY

WIRES_NETWORK: Final = IPv4Network("198.19.0.0/24")
"""Of the engine's network, which only boxes see: the benchmarking range (RFC 2544 appendix C), of which the
topology's own plan takes the other half."""
WIRES_MTU: Final = 1600
"""Room for what VXLAN adds to a frame (RFC 7348 §5: 50 bytes)."""
PORT: Final = 4789
"""RFC 7348 §8.1."""

_FIRST: Final = 10
ENGINES_DEVICE: Final = "eth0"
"""What the engine calls a container's only device."""
_EVERYBODY: Final = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """One VXLAN: its number, and the boxes on it."""

    number: int
    boxes: tuple[str, ...]


def boxes_of(network: Network) -> dict[str, IPv4Address]:
    """Return the box of each node but switches, with its address on the engine's network.

    Raises:
        UsageError: there are more than the network has addresses.
    """
    nodes = [node.name for node in network.nodes.values() if node.kind is not NodeKind.SWITCH]
    room = WIRES_NETWORK.num_addresses - _FIRST - 2  # without the broadcast address and the engine's own
    if len(nodes) > room:
        found = f"{len(nodes)} nodes besides switches"
        raise UsageError(Problem(network.name, found, f"at most {room} in a standing lab"))
    return {name: WIRES_NETWORK[_FIRST + number] for number, name in enumerate(nodes)}


def cables_of(network: Network) -> dict[str, Cable]:
    """Return the cable that each link is; all links that meet at switches are one.

    Raises:
        UsageError: switches make a circle, on which frames would go round for ever.
    """
    segment = {name: name for name, node in network.nodes.items() if node.kind is NodeKind.SWITCH}
    for link in network.links.values():
        if link.a in segment and link.b in segment:
            one, other = _root(segment, link.a), _root(segment, link.b)
            if one == other:
                raise UsageError(Problem(f"link {link.label}", "its switches are joined by another way too"))
            segment[other] = one
    groups: dict[str, list[str]] = {}
    for link in network.links.values():
        switch = next((end for end in (link.a, link.b) if end in segment), None)
        groups.setdefault(_root(segment, switch) if switch else f"link {link.label}", []).append(link.label)
    cables: dict[str, Cable] = {}
    for number, labels in enumerate(groups.values(), start=1):
        ends = (end for label in labels for end in (network.links[label].a, network.links[label].b))
        cable = Cable(number=number, boxes=tuple(dict.fromkeys(end for end in ends if end not in segment)))
        cables |= dict.fromkeys(labels, cable)
    return cables


def _root(segment: Mapping[str, str], name: str) -> str:
    while segment[name] != name:
        name = segment[name]
    return name


def impaired_at(network: Network) -> dict[str, list[str]]:
    """Return the links whose delay and loss each box carries out: one of a link's two does.

    Raises:
        UsageError: an impaired link between two switches, where no box is.
    """
    chosen: dict[str, list[str]] = {}
    for label in wire_devices(network):
        link = network.links[label]
        ends = [end for end in (link.a, link.b) if network.nodes[end].kind is not NodeKind.SWITCH]
        if not ends:
            found = "an impaired link between two switches"
            raise UsageError(Problem(f"link {label}", found, suggestion="impair those of the hosts"))
        chosen.setdefault(ends[0], []).append(label)
    return chosen


def under_commands(node: Node, network: Network) -> Iterator[str]:
    """Yield the ``ip`` commands that set up the namespace below a box, which has the engine's device."""
    yield f"address add {boxes_of(network)[node.name]}/{WIRES_NETWORK.prefixlen} dev {ENGINES_DEVICE}"
    yield f"link set {ENGINES_DEVICE} up"


def link_commands(node: Node, network: Network, box: int) -> Iterator[str]:
    """Yield the ``ip`` commands that make a box's devices, one a link, from the namespace below it.

    ``box`` is a process in the box's own namespace. What a VXLAN carries stays in the namespace in which it
    was made, so that a box has the devices of its links and no other.
    """
    devices, wires, cables = device_names(network), wire_devices(network), cables_of(network)
    impaired = impaired_at(network).get(node.name, [])
    own = boxes_of(network)[node.name]
    for number, link in enumerate(network.links.values()):
        if node.name not in (link.a, link.b):
            continue
        end = 0 if node.name == link.a else 1
        device, mac = devices[node.name, link.label], mac_address(number, end)
        mtu = (link.forward, link.backward)[end].mtu
        cable = f"type vxlan id {cables[link.label].number} dstport {PORT} local {own} dev {ENGINES_DEVICE}"
        there = f"netns {box}"
        if link.label not in impaired:
            yield f"link add name {device} address {mac} mtu {mtu} {there} {cable}"
            continue
        near, far = wires[link.label] if end == 0 else wires[link.label][::-1]
        veth = f"type veth peer name {near} {there}"
        yield f"link add name {device} address {mac} mtu {mtu} gso_max_segs 1 {there} {veth}"
        yield f"link add name {far} mtu {mtu} {there} {cable}"


def wire_end_commands(node: Node, network: Network) -> Iterator[str]:
    """Yield the ``ip`` commands that switch on the devices between which a box's wires are."""
    for label in impaired_at(network).get(node.name, []):
        yield from (f"link set {device} up" for device in wire_devices(network)[label])


def flood_commands(node: Node, network: Network) -> Iterator[str]:
    """Yield the ``bridge`` commands by which frames for everybody reach the other boxes of each cable."""
    devices, wires, cables, boxes = (
        device_names(network), wire_devices(network), cables_of(network), boxes_of(network),
    )  # fmt: skip
    impaired = impaired_at(network).get(node.name, [])
    for link in network.links.values():
        if node.name not in (link.a, link.b):
            continue
        device = devices[node.name, link.label]
        if link.label in impaired:
            device = wires[link.label][1 if node.name == link.a else 0]
        for other in cables[link.label].boxes:
            if other != node.name:
                yield f"fdb append {_EVERYBODY} dev {device} dst {boxes[other]}"


def address_commands(node: Node, network: Network) -> Iterator[str]:
    """Yield the ``ip`` commands that give a box the plan's addresses and routes; a NAT box has none.

    What a relay sends to places that are not there vanishes, as it does beyond a router.
    """
    if node.nat is not None:
        interfaces = tuple(replace(interface, addresses=()) for interface in node.interfaces)
        node = replace(node, interfaces=interfaces, routes=())
    yield from node_commands(node, device_names(network))
    if node.role == RELAY:
        yield from vanishing_routes(node, network)
