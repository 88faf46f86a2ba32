"""What a namespace is told: devices, addresses, routes and kernel settings, as text. Nothing is done here.

All of it follows from the network's description alone, which the virtual-time world builds too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final

from lab.spec.impairment import PERFECT, Impairment
from lab.spec.network import Interface, Network, Node, NodeKind, Route
from lab.units import parse_port_range

_MAC_PREFIX: Final = "02:ca:11"
"""Locally administered (IEEE 802 §8.2); addresses are given in the order of the links, so captures agree."""

_SOURCE_TABLE: Final = 100
"""Routing tables from here on hold one default route each, chosen by a packet's source address."""
_SOURCE_RULE: Final = 1000
"""Priority of the rules that choose; before them the main table is asked for anything but a default route."""


def device_names(network: Network) -> dict[tuple[str, str], str]:
    """Return the name of each node's device on each of its links, as Mininet would name it.

    Hosts count from 0, switches from 1.
    """
    return {
        (node.name, interface.link): f"{node.name}-eth{number}"
        for node in network.nodes.values()
        for number, interface in enumerate(node.interfaces, start=int(node.kind is NodeKind.SWITCH))
    }


def mac_address(link_number: int, end: int) -> str:
    """Return the hardware address of one end (0 or 1) of the link with that number, from 0."""
    return f"{_MAC_PREFIX}:{link_number >> 7 & 0xFF:02x}:{link_number << 1 & 0xFF | end:02x}:01"


def link_commands(network: Network, namespace_of: Mapping[str, int], wires: int = 0) -> Iterator[str]:
    """Yield the ``ip`` commands that make all links, each end in the namespace of its node's process.

    An impaired link is two, which meet at the wires, in the namespace of that process.
    """
    devices, on_wires = device_names(network), wire_devices(network)
    for number, link in enumerate(network.links.values()):
        ends = ((link.a, link.forward), (link.b, link.backward))
        first, second = (
            _end(devices[node, link.label], mac_address(number, end), leaving, namespace_of[node])
            for end, (node, leaving) in enumerate(ends)
        )
        if link.label not in on_wires:
            yield f"link add {first} type veth peer {second}"
            continue
        for one, device in zip((first, second), on_wires[link.label], strict=True):
            # No device is to take several packets for one: each has a delay and a fate of its own.
            yield f"link add {one} gso_max_segs 1 type veth peer name {device} mtu {_WIRE_MTU} netns {wires}"


def _end(device: str, mac: str, leaving: Impairment, namespace: int) -> str:
    return f"name {device} address {mac} mtu {leaving.mtu} netns {namespace}"


_WIRE_MTU: Final = 65_535
"""The ends of a link say what is too long, not the wire."""


def wire_devices(network: Network) -> dict[str, tuple[str, str]]:
    """Return, for each link that needs a wire, the names of the wire's devices towards its ``a`` and ``b``.

    One that has nothing but an MTU needs none: the devices at its ends keep that.
    """
    return {
        link.label: (f"wire{number}a", f"wire{number}b")
        for number, link in enumerate(network.links.values())
        if any(replace(direction, mtu=PERFECT.mtu) != PERFECT for direction in (link.forward, link.backward))
    }


def wire_commands(network: Network) -> Iterator[str]:
    """Yield the ``ip`` commands that switch the wires' devices on, in their namespace."""
    for pair in wire_devices(network).values():
        yield from (f"link set {device} up" for device in pair)


def bridge_commands(network: Network) -> Iterator[str]:
    """Yield the ``ip`` commands that make switches of the devices that the links put in their namespace."""
    devices = device_names(network)
    for node in network.nodes.values():
        if node.kind is NodeKind.SWITCH:
            yield f"link add {node.name} type bridge stp_state 0 mcast_snooping 0"
            for interface in node.interfaces:
                yield f"link set {devices[node.name, interface.link]} master {node.name} up"
            yield f"link set {node.name} up"


def node_commands(node: Node, devices: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Yield the ``ip`` commands that give a node its addresses and routes, in its namespace.

    A link that it is not attached to stays down.
    """
    yield "link set lo up"
    node = attached_part(node, [i.link for i in node.interfaces if i.attached])
    for interface in node.interfaces:
        device = devices[node.name, interface.link]
        yield f"link set {device} up"
        for address in _in_order_to_add(interface):
            yield f"address add {address} dev {device}{' nodad' if ':' in address else ''}"
    for route in node.routes:
        if route.via and not _is_further_default(node, route):
            yield f"route add {route.destination} via {route.via} dev {devices[node.name, route.link]}"
    for version in (4, 6):
        yield from _source_routes(node, devices, version)
        if node.kind is NodeKind.ROUTER and not _defaults(node, version):
            # As beyond a provider's edge: what has no route vanishes, and nobody is told.
            yield f"route add blackhole {_everywhere(version)}"


def attached_part(node: Node, links: Collection[str]) -> Node:
    """Return a node as it is on some of its links alone."""
    interfaces = tuple(replace(i, attached=True) for i in node.interfaces if i.link in links)
    return replace(node, interfaces=interfaces, routes=tuple(r for r in node.routes if r.link in links))


def leaving_commands(node: Node, devices: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Yield the ``ip`` commands that take a node off its links: their addresses, routes and rules go."""
    for interface in node.interfaces:
        device = devices[node.name, interface.link]
        yield f"address flush dev {device}"
        yield f"link set {device} down"


def _in_order_to_add(interface: Interface) -> Iterator[str]:
    """Yield addresses so that the first of each family is the one that packets leave from.

    Of IPv4 addresses the kernel prefers the first that was added, of IPv6 addresses the last.
    """
    yield from (address for address in interface.addresses if ":" not in address)
    yield from (address for address in reversed(interface.addresses) if ":" in address)


def _everywhere(version: int) -> str:
    return "0.0.0.0/0" if version == 4 else "::/0"


def _defaults(node: Node, version: int) -> list[Route]:
    return [r for r in node.routes if r.destination.version == version and r.destination.prefixlen == 0]


def _is_further_default(node: Node, route: Route) -> bool:
    """Whether a route has an equal that comes first: the kernel's main table holds one of each."""
    return route is not next(r for r in node.routes if r.destination == route.destination)


def _source_routes(node: Node, devices: Mapping[tuple[str, str], str], version: int) -> Iterator[str]:
    """Yield the rules by which a packet leaves on the link that has its source address."""
    defaults = _defaults(node, version)
    if len(defaults) < 2:
        return
    everywhere = _everywhere(version)
    yield f"rule add priority {_SOURCE_RULE} from {everywhere} lookup main suppress_prefixlength 0"
    for number, route in enumerate(defaults):
        table, device = _SOURCE_TABLE + number, devices[node.name, route.link]
        yield f"route add {everywhere} via {route.via} dev {device} table {table}"
        for address in _addresses_on(node, route.link, version):
            yield f"rule add priority {_SOURCE_RULE + 1} from {address} lookup {table}"


def _addresses_on(node: Node, link: str, version: int) -> Iterator[str]:
    for interface in node.interfaces:
        if interface.link == link:
            plain = (address.partition("/")[0] for address in interface.addresses)
            yield from (address for address in plain if (":" in address) == (version == 6))


# Kernel settings


def kernel_settings(node: Node) -> Iterator[tuple[str, str]]:
    """Yield (path below ``/proc/sys/net``, value) of what to set before the node's devices are made.

    The default is what devices begin with; what counts is the greater, or the or, of it and "all".
    """
    forwards = str(int(node.kind in {NodeKind.ROUTER, NodeKind.NAT}))
    yield "ipv4/ip_forward", forwards  # first: it resets others
    for scope in ("all", "default"):
        ipv4, ipv6 = f"ipv4/conf/{scope}", f"ipv6/conf/{scope}"
        yield f"{ipv4}/rp_filter", "0"  # replies may come by the other of two links
        yield f"{ipv4}/accept_redirects", "0"
        yield f"{ipv4}/send_redirects", "0"
        yield f"{ipv6}/forwarding", forwards
        yield f"{ipv6}/accept_ra", "0"
        yield f"{ipv6}/autoconf", "0"
        yield f"{ipv6}/accept_redirects", "0"
        yield f"{ipv6}/accept_dad", "0"  # an address is used at once
        yield f"{ipv6}/dad_transmits", "0"
    yield "ipv4/icmp_ratelimit", "0"  # every packet is answered, however many there are
    yield "ipv6/icmp/ratelimit", "0"
    if "udp_ports" in node.options:
        ports = parse_port_range(node.options["udp_ports"])
        yield "ipv4/ip_local_port_range", f"{ports.start} {ports.stop - 1}"
    yield "ipv6/conf/default/disable_ipv6", str(int(not _has_ipv6(node.interfaces)))


def device_settings(node: Node, devices: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, str]]:
    """Yield the settings of devices that are there: those without an IPv6 address of the plan get none."""
    if not _has_ipv6(node.interfaces):
        return
    for interface in node.interfaces:
        if not _has_ipv6((interface,)):
            yield f"ipv6/conf/{devices[node.name, interface.link]}/disable_ipv6", "1"


def needs_ipv6(network: Network) -> bool:
    """Whether anybody has an IPv6 address."""
    return any(_has_ipv6(node.interfaces) for node in network.nodes.values())


def _has_ipv6(interfaces: tuple[Interface, ...]) -> bool:
    return any(":" in address for interface in interfaces for address in interface.addresses)
