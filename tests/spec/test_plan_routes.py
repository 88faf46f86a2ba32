"""Who sends what where."""

import itertools

from mininet.topo import Topo

from lab.spec.network import Network
from lab.spec.plan import plan_network


def routes(network: Network, node: str) -> list[str]:
    """Return a node's routes in words, those to its own links left out."""
    return [
        f"{route.destination} via {route.via} on {route.link}"
        for route in network.nodes[node].routes
        if route.via
    ]


class Office(Topo):
    """desk - floor router - NAT - edge - core - server: two routers outside, one inside."""

    def build(self, nat="port-restricted", ipv6=False):
        self.addHost("desk", role="host")
        self.addHost("floor", role="router", uplink="box")
        self.addHost("box", role="nat", nat=nat, uplink="edge")
        self.addHost("edge", role="router", uplink="core")
        self.addHost("core", role="router")
        self.addHost("server", role="host")
        chain = ["desk", "floor", "box", "edge", "core", "server"]
        for one, other in itertools.pairwise(chain):
            self.addLink(one, other, label=f"{one}-{other}", ipv6=ipv6)


def plan(topo: Topo) -> Network:
    return plan_network(topo, "test")


def test_everybody_knows_what_is_on_their_own_links():
    network = plan(Office())
    assert [str(route.destination) for route in network.nodes["edge"].routes if not route.via] == [
        "203.0.113.0/24",
        "198.51.100.0/24",
    ]


def test_a_host_has_a_default_route_to_the_router_of_its_segment():
    assert routes(plan(Office()), "desk") == ["0.0.0.0/0 via 192.168.1.1 on desk-floor"]


def test_a_nat_box_routes_inwards_to_what_lies_behind_inside_routers():
    assert routes(plan(Office()), "box") == [
        "192.168.1.0/24 via 192.168.2.10 on floor-box",
        "0.0.0.0/0 via 203.0.113.1 on box-edge",
    ]


def test_outside_a_nat_nobody_has_a_route_to_its_inside():
    network = plan(Office())
    assert routes(network, "core") == ["203.0.113.0/24 via 198.51.100.10 on edge-core"]
    assert routes(network, "edge") == ["0.0.0.0/0 via 198.51.100.1 on edge-core"]


def test_behind_a_box_that_does_not_translate_everybody_is_routed():
    network = plan(Office(nat="none"))
    assert routes(network, "core") == [
        "192.0.2.0/24 via 198.18.0.10 on edge-core",
        "198.51.100.0/24 via 198.18.0.10 on edge-core",
        "203.0.113.0/24 via 198.18.0.10 on edge-core",
    ]
    assert routes(network, "box")[0] == "203.0.113.0/24 via 198.51.100.10 on floor-box"


def test_ipv6_is_routed_through_nat_boxes_to_the_last_segment():
    network = plan(Office(ipv6=True))
    assert [route for route in routes(network, "core") if ":" in route] == [
        "2001:db8:3::/64 via 2001:db8:4::10 on edge-core",
        "2001:db8:2::/64 via 2001:db8:4::10 on edge-core",
        "2001:db8:1::/64 via 2001:db8:4::10 on edge-core",
    ]
    assert [route for route in routes(network, "box") if ":" in route] == [
        "2001:db8:1::/64 via 2001:db8:2::10 on floor-box",
        "::/0 via 2001:db8:3::1 on box-edge",
    ]


def test_a_host_with_two_links_has_a_default_route_for_each_its_uplinks_first():
    class Phone(Topo):
        def build(self, uplink):
            self.addHost("phone", role="endpoint", uplink=uplink)
            self.addHost("core", role="router")
            for box in ("wifi", "cell"):
                self.addHost(box, role="nat", nat="port-restricted", uplink="core")
                self.addLink("phone", box, label=f"by-{box}")
                self.addLink(box, "core")

    by_wifi, by_cell = "0.0.0.0/0 via 192.168.1.1 on by-wifi", "0.0.0.0/0 via 192.168.2.1 on by-cell"
    assert routes(plan(Phone(uplink="wifi")), "phone") == [by_wifi, by_cell]
    assert routes(plan(Phone(uplink="cell")), "phone") == [by_cell, by_wifi]


def test_routers_in_a_ring_take_the_fewest_hops():
    class Ring(Topo):
        def build(self):
            names = ["r1", "r2", "r3", "r4"]
            for name in names:
                self.addHost(name, role="router")
            for one, other in zip(names, names[1:] + names[:1], strict=True):
                self.addLink(one, other, label=f"{one}-{other}")
            self.addHost("host", role="host")
            self.addLink("host", "r3", label="leaf")

    network = plan(Ring())
    leaf = network.nodes["host"].routes[0].destination
    first_links = {
        name: route.link
        for name in ("r2", "r4")
        for route in network.nodes[name].routes
        if route.destination == leaf
    }
    assert first_links == {"r2": "r2-r3", "r4": "r3-r4"}


def test_where_no_router_leads_out_there_is_no_default_route():
    class Flat(Topo):
        def build(self):
            self.addSwitch("ix", dpid="1")
            self.addHost("box", role="nat", nat="port-restricted", uplink="ix")
            for name, neighbour in (("alice", "box"), ("server", "ix")):
                self.addHost(name, role="host")
                self.addLink(name, neighbour)
            self.addLink("box", "ix")

    network = plan(Flat())
    assert routes(network, "server") == routes(network, "box") == []
    assert routes(network, "alice") == ["0.0.0.0/0 via 192.168.1.1 on alice--box"]
