"""What holds for the plan of any tree of routers, NAT boxes and hosts: packets arrive by its routes."""

from collections import Counter
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from mininet.topo import Topo

from lab.spec.network import Network, NodeKind
from lab.spec.plan import plan_network

LARGEST = 12


class Tree(Topo):
    """A core router, then a box or host for each ``(kind, parent, ipv6)``, and a host at every end."""

    def build(self, branches):
        self.addHost("n0", role="router")
        forwarding, inside = ["n0"], Counter()
        for number, (kind, parent, ipv6) in enumerate(branches, start=1):
            name, outside = f"n{number}", forwarding[parent % len(forwarding)]
            uplink = {} if kind == "host" else {"uplink": outside}
            nat = {"nat": "port-restricted"} if kind == "nat" else {}
            self.addHost(name, role=kind, **uplink, **nat)
            self.addLink(name, outside, ipv6=ipv6)
            inside[outside] += 1
            if kind != "host":
                forwarding.append(name)
        for name in forwarding:
            if not inside[name]:
                self.addHost(f"{name}-leaf", role="host")
                self.addLink(f"{name}-leaf", name, ipv6=True)


trees = st.lists(
    st.tuples(st.sampled_from(["host", "router", "nat"]), st.integers(0, LARGEST), st.booleans()),
    max_size=LARGEST,
)
full_ipv6_trees = trees.map(lambda branches: [(kind, parent, True) for kind, parent, _ in branches])


def plan(branches):
    return plan_network(Tree(branches), "tree")


def owned(network: Network, node: str, version: int) -> list[str]:
    """Return a node's addresses of one family, without prefix lengths."""
    texts = [a.partition("/")[0] for i in network.nodes[node].interfaces for a in i.addresses]
    return [text for text in texts if ip_address(text).version == version]


def next_node(network: Network, node: str, destination: str) -> str:
    """Return where the routes of ``node`` send a packet; fails without a route, or if nobody is there."""
    target = ip_address(destination)
    matching = [r for r in network.nodes[node].routes if target in r.destination]
    route = max(matching, key=lambda r: r.destination.prefixlen)
    link = network.links[route.link]
    neighbour = link.b if link.a == node else link.a
    assert (route.via or destination) in owned(network, neighbour, target.version)
    return neighbour


def path(network: Network, source: str, destination: str) -> list[str]:
    """Return the nodes that a packet from ``source`` passes; fails where it goes round in a circle."""
    target = ip_address(destination)
    nodes = [source]
    while destination not in owned(network, nodes[-1], target.version):
        assert len(nodes) <= len(network.nodes)
        nodes.append(next_node(network, nodes[-1], destination))
    return nodes


def hosts(network: Network) -> list[str]:
    return [name for name, node in network.nodes.items() if node.kind is NodeKind.HOST]


@given(trees)
def test_every_host_reaches_every_public_address(branches):
    network = plan(branches)
    for addresses in network.dns.values():
        for destination in addresses:
            if ":" not in destination:
                for source in hosts(network):
                    path(network, source, destination)


@given(trees)
def test_every_nat_box_is_reached_at_its_external_address_and_reaches_what_is_behind_it(branches):
    network = plan(branches)
    for name, node in network.nodes.items():
        if node.kind is NodeKind.NAT:
            outside = next(interface for interface in node.interfaces if interface.outside)
            neighbours = {network.links[outside.link].a, network.links[outside.link].b} - {name}
            assert path(network, neighbours.pop(), node.external_addresses[0])[-1] == name
            for route in node.routes:
                if route.link != outside.link and route.destination.version == 4:
                    path(network, name, str(route.destination[10]))


@given(full_ipv6_trees)
def test_ipv6_reaches_everybody_from_everywhere(branches):
    network = plan(branches)
    for source in hosts(network):
        for destination in hosts(network):
            for address in owned(network, destination, 6):
                assert path(network, source, address)[-1] == destination


@given(trees)
def test_addresses_are_unique_in_ipv6_and_among_public_hosts(branches):
    network = plan(branches)
    public = [address for addresses in network.dns.values() for address in addresses]
    everywhere = [address for node in network.nodes for address in owned(network, node, 6)]
    for addresses in (public, everywhere):
        assert [address for address, count in Counter(addresses).items() if count > 1] == []


@given(trees)
def test_the_same_topology_gives_the_same_plan(branches):
    assert plan(branches) == plan(branches)
