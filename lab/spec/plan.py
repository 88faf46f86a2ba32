"""From a Mininet ``Topo`` to the frozen :class:`~lab.spec.network.Network` that both worlds build.

Three steps, each of which reports everything it finds wrong at once: the graph (what the author wrote), the
layout with its addresses, the routes. The result depends on the topology alone: no clock, no randomness.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.spec.addressing import AddressPlan, assign_addresses
from lab.spec.findings import Place
from lab.spec.graph import Device, Graph
from lab.spec.network import Interface, Link, Network, Node, NodeKind
from lab.spec.node_options import NO_PROGRAM
from lab.spec.realm import Layout, Port, RealmKind, lay_out
from lab.spec.roles import ENDPOINT, public_name
from lab.spec.routing import routes_of
from lab.spec.topo_reader import read_graph

if TYPE_CHECKING:
    from mininet.topo import Topo


def plan_network(topo: Topo, name: str, places: Mapping[Place, str] | None = None) -> Network:
    """Return the network that ``topo`` describes, with every address and route.

    ``name`` is the topology's name; ``places`` says where in the author's file each node and link was added,
    for messages (:func:`lab.spec.find.load_topology` fills it in).

    Raises:
        UsageError: the topology describes no network that could be built; all problems of one step at once.
    """
    graph = read_graph(topo, f"topology {name}", places)
    layout = lay_out(graph)
    plan = assign_addresses(layout)
    return Network(
        name=name,
        nodes={device.name: _node(device, layout, plan) for device in graph.devices.values()},
        links={label: _link(graph, label) for label in graph.cables},
        dns=_host_names(layout, plan),
    )


def _node(device: Device, layout: Layout, plan: AddressPlan) -> Node:
    external: tuple[str, ...] = ()
    if device.kind is NodeKind.NAT:
        external = plan.addresses[Port(device.name, device.uplink)]
    return Node(
        name=device.name,
        kind=device.kind,
        role="" if device.role == NO_PROGRAM else device.role,
        interfaces=tuple(_interface(device, label, layout, plan) for label in device.cables),
        routes=routes_of(device, layout, plan),
        options=device.options,
        nat=device.nat,
        external_addresses=external,
    )


def _interface(device: Device, label: str, layout: Layout, plan: AddressPlan) -> Interface:
    port, segment = Port(device.name, label), layout.segment_of[label]
    prefixes = (plan.prefixes.get(segment.key), plan.prefixes6.get(segment.key))
    addresses = (plan.addresses.get(port, ()), plan.addresses6.get(port, ()))
    return Interface(
        node=device.name,
        link=label,
        addresses=tuple(
            f"{address}/{prefix.prefixlen}"
            for prefix, family in zip(prefixes, addresses, strict=True)
            if prefix is not None
            for address in family
        ),
        outside=device.kind is NodeKind.NAT and label == device.uplink,
        attached=device.role != ENDPOINT or layout.graph.cables[label].attached,
    )


def _link(graph: Graph, label: str) -> Link:
    cable = graph.cables[label]
    return Link(label=label, a=cable.a, b=cable.b, forward=cable.forward, backward=cable.backward)


def _host_names(layout: Layout, plan: AddressPlan) -> dict[str, tuple[str, ...]]:
    """Return names for the hosts that everybody can address: those with all their links in a public realm."""
    public = {
        label
        for realm in layout.realms
        if realm.kind is RealmKind.PUBLIC
        for segment in realm.segments
        for label in segment.cables
    }
    return {
        public_name(device.name): tuple(
            address
            for family in (plan.addresses, plan.addresses6)
            for label in device.cables
            for address in family.get(Port(device.name, label), ())
        )
        for device in layout.graph.devices.values()
        if device.kind is NodeKind.HOST and public.issuperset(device.cables)
    }
