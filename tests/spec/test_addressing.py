"""Which addresses everybody gets, and why one can rely on them."""

import pytest
from mininet.topo import Topo

from lab.errors import UsageError
from lab.spec.network import Network
from lab.spec.plan import plan_network


def plan(topo: Topo) -> Network:
    return plan_network(topo, "test")


def addresses(network: Network, node: str) -> list[str]:
    return [address for interface in network.nodes[node].interfaces for address in interface.addresses]


class Homes(Topo):
    """Homes with one host each around a router."""

    def build(self, count=2, layers=1, **home):
        self.addHost("core", role="router")
        for number in range(1, count + 1):
            outside = "core"
            for layer in range(layers):
                box = f"box{number}-{layer}"
                self.addHost(box, role="nat", nat="port-restricted", uplink=outside)
                self.addLink(box, outside, label=f"{box}-out")
                outside = box
            self.addHost(f"host{number}", role="endpoint")
            self.addLink(f"host{number}", outside, label=f"home{number}", **home)


def test_homes_are_numbered_in_order_and_the_first_host_is_10_in_each():
    network = plan(Homes(3))
    assert [addresses(network, f"host{n}") for n in (1, 2, 3)] == [
        ["192.168.1.10/24"],
        ["192.168.2.10/24"],
        ["192.168.3.10/24"],
    ]
    assert addresses(network, "box1-0") == ["203.0.113.10/24", "192.168.1.1/24"]


def test_public_segments_take_the_documentation_prefixes_then_the_benchmarking_range():
    network = plan(Homes(5))
    assert addresses(network, "core") == [
        "203.0.113.1/24",
        "198.51.100.1/24",
        "192.0.2.1/24",
        "198.18.0.1/24",
        "198.18.1.1/24",
    ]


def test_two_homes_may_use_the_same_prefix():
    network = plan(Homes(2, subnet="192.168.1.0/24"))
    assert addresses(network, "host1") == addresses(network, "host2") == ["192.168.1.10/24"]


def test_between_two_nats_lies_the_shared_address_space():
    network = plan(Homes(2, layers=2))
    assert addresses(network, "box1-0") == ["203.0.113.10/24", "100.64.0.1/24"]
    assert addresses(network, "box1-1") == ["100.64.0.10/24", "192.168.1.1/24"]
    assert addresses(network, "box2-1") == ["100.64.1.10/24", "192.168.2.1/24"]


def test_a_prefix_that_was_asked_for_is_given_to_nobody_else():
    class Asked(Homes):
        def build(self):
            super().build(2)
            self.addHost("box3", role="nat", nat="port-restricted", uplink="core")
            self.addLink("box3", "core", label="box3-out")
            self.addHost("host3", role="endpoint")
            self.addLink("host3", "box3", label="home3", subnet="192.168.1.0/24")

    network = plan(Asked())
    assert addresses(network, "host3") == ["192.168.1.10/24"]
    assert [addresses(network, f"host{n}") for n in (1, 2)] == [["192.168.2.10/24"], ["192.168.3.10/24"]]


def test_after_192_168_homes_go_on_in_10():
    network = plan(Homes(256))
    assert addresses(network, "host255") == ["192.168.255.10/24"]
    assert addresses(network, "host256") == ["10.0.0.10/24"]


class Pair(Topo):
    """A router and hosts on one segment."""

    def build(self, hosts=1, **segment):
        self.addHost("core", role="router")
        self.addSwitch("lan", dpid="1", **segment)
        self.addLink("core", "lan", label="core")
        for number in range(1, hosts + 1):
            self.addHost(f"host{number}", role="host")
            self.addLink(f"host{number}", "lan", label=f"host{number}")


@pytest.mark.parametrize(
    ("prefix", "router", "host"),
    [
        ("10.0.0.0/8", "10.0.0.1/8", "10.0.0.10/8"),
        ("10.0.0.16/28", "10.0.0.17/28", "10.0.0.26/28"),
        ("10.0.0.8/29", "10.0.0.9/29", "10.0.0.10/29"),
        ("10.0.0.4/30", "10.0.0.5/30", "10.0.0.6/30"),
        ("10.0.0.2/31", "10.0.0.2/31", "10.0.0.3/31"),
    ],
)
def test_small_prefixes_are_filled_from_the_start(prefix, router, host):
    network = plan(Pair(subnet=prefix))
    assert (addresses(network, "core"), addresses(network, "host1")) == ([router], [host])


@pytest.mark.parametrize(("prefix", "room"), [("10.0.0.0/30", 2), ("10.0.0.0/31", 2), ("10.0.0.0/32", 1)])
def test_a_prefix_too_small_for_everybody_is_refused(prefix, room):
    with pytest.raises(UsageError) as caught:
        plan(Pair(hosts=3, subnet=prefix))
    assert str(caught.value) == (
        f"topology test: segment 'lan': {prefix} has room for {room} addresses, 4 are needed\n"
        "  give it a shorter prefix length"
    )


def test_a_full_prefix_leaves_no_address_unused():
    network = plan(Pair(hosts=13, subnet="10.0.0.0/28"))
    assert addresses(network, "host13") == ["10.0.0.14/28"]


def test_ipv6_is_a_prefix_a_segment_and_reads_like_the_ipv4_address_beside_it():
    network = plan(Homes(2, ipv6=True))
    assert addresses(network, "host1") == ["192.168.1.10/24", "2001:db8:1::10/64"]
    assert addresses(network, "host2") == ["192.168.2.10/24", "2001:db8:2::10/64"]
    assert addresses(network, "box1-0") == ["203.0.113.10/24", "192.168.1.1/24", "2001:db8:1::1/64"]


def test_an_ipv6_prefix_that_was_asked_for_is_used():
    assert addresses(plan(Pair(subnet6="2001:db8:77::/64")), "host1")[1] == "2001:db8:77::10/64"
    assert addresses(plan(Pair(subnet6="fd00::/126")), "host1")[1] == "fd00::2/126"


def test_more_public_segments_than_prefixes_are_refused():
    class Many(Topo):
        def build(self):
            for router in range(10):
                self.addHost(f"r{router}", role="router")
                if router:
                    self.addLink(f"r{router}", f"r{router - 1}")
                for host in range(60):
                    self.addHost(f"h{router}-{host}", role="host")
                    self.addLink(f"h{router}-{host}", f"r{router}")

    with pytest.raises(UsageError, match="no public IPv4 prefix is left for segment") as caught:
        plan(Many())
    assert len(caught.value.problems) == 1
