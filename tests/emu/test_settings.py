"""What namespaces are told, as text: derived from the network alone."""

import pytest
from mininet.topo import Topo
from plain_topologies import moving_network

from lab.emu.settings import (
    attached_part,
    bridge_commands,
    device_names,
    device_settings,
    kernel_settings,
    leaving_commands,
    link_commands,
    mac_address,
    node_commands,
    wire_commands,
    wire_devices,
)
from lab.spec.find import load_topology
from lab.spec.plan import plan_network


def commands_of(topology, name, parameters=None):
    network = load_topology(topology, parameters or {})
    return list(node_commands(network.nodes[name], device_names(network)))


def test_devices_are_named_as_mininet_names_them():
    names = device_names(load_topology("one_lan", {}))
    assert names["alice", "alice-lan"] == "alice-eth0"
    assert names["nat", "nat-lan"] == "nat-eth0"
    assert names["nat", "access"] == "nat-eth1"
    assert names["lan", "nat-lan"] == "lan-eth1"


def test_hardware_addresses_are_distinct_and_neither_multicast_nor_anybodys():
    given = [mac_address(link, end) for link in range(3000) for end in (0, 1)]
    assert len(set(given)) == 6000
    assert {int(mac[:2], 16) & 3 for mac in given} == {2}


def test_each_end_of_a_link_is_made_in_the_namespace_of_its_node():
    network = load_topology("two_homes", {})
    processes = {name: number for number, name in enumerate(network.nodes, start=10)}
    first = next(iter(network.links.values()))
    a, b = f"{first.a}-eth0", f"{first.b}-eth0"
    assert next(link_commands(network, processes)) == (
        f"link add name {a} address 02:ca:11:00:00:01 mtu 1500 netns {processes[first.a]} type veth"
        f" peer name {b} address 02:ca:11:00:01:01 mtu 1500 netns {processes[first.b]}"
    )


def test_an_end_of_a_link_sends_packets_as_long_as_that_direction_takes():
    class Tunnel(Topo):
        def build(self):
            for name in ("left", "right"):
                self.addHost(name, role="host")
            self.addLink(
                "left",
                "right",
                label="tunnel",
                impair={"forward": {"mtu": "1400B"}, "backward": {"mtu": "1280B"}},
            )

    network = plan_network(Tunnel(), "tunnel")
    link = network.links["tunnel"]
    (command,) = link_commands(network, {"left": 1, "right": 2})
    assert [word for word in command.split() if word in {"1400", "1280"}] == [
        str(link.forward.mtu),
        str(link.backward.mtu),
    ]


def test_a_switch_is_a_bridge_without_spanning_tree_that_floods_multicast():
    """Neighbour discovery is multicast; snooping without a querier loses it after a while."""
    network = load_topology("one_lan", {})
    assert list(bridge_commands(network)) == [
        "link add lan type bridge stp_state 0 mcast_snooping 0",
        "link set lan-eth1 master lan up",
        "link set lan-eth2 master lan up",
        "link set lan-eth3 master lan up",
        "link set lan up",
    ]


def test_a_host_has_its_address_and_a_default_route():
    assert commands_of("two_homes", "alice") == [
        "link set lo up",
        "link set alice-eth0 up",
        "address add 192.168.1.10/24 dev alice-eth0",
        "route add 0.0.0.0/0 via 192.168.1.1 dev alice-eth0",
    ]


def test_a_host_with_two_links_sends_by_the_one_that_has_the_source_address():
    commands = commands_of("multihomed", "alice")
    assert [c for c in commands if c.startswith("rule")] == [
        "rule add priority 1000 from 0.0.0.0/0 lookup main suppress_prefixlength 0",
        "rule add priority 1001 from 192.168.1.10 lookup 100",
        "rule add priority 1001 from 192.168.2.10 lookup 101",
    ]
    assert "route add 0.0.0.0/0 via 192.168.2.1 dev alice-eth1 table 101" in commands
    assert "route add 0.0.0.0/0 via 192.168.2.1 dev alice-eth1" not in commands


def test_beyond_a_router_without_a_default_route_packets_vanish():
    commands = commands_of("two_homes", "internet")
    assert commands[-2:] == ["route add blackhole 0.0.0.0/0", "route add blackhole ::/0"]
    assert not any("blackhole" in c for c in commands_of("two_homes", "alice"))
    assert not any("blackhole 0.0.0.0/0" in c for c in commands_of("firewalled_office", "office"))


@pytest.mark.parametrize(("name", "forwards"), [("alice", "0"), ("alice-nat", "1"), ("internet", "1")])
def test_routers_and_boxes_forward_and_hosts_do_not(name, forwards):
    settings = dict(kernel_settings(load_topology("dual_stack", {}).nodes[name]))
    assert settings["ipv4/ip_forward"] == settings["ipv6/conf/all/forwarding"] == forwards


def test_an_impaired_link_is_two_that_meet_at_the_wires():
    network = load_topology("one_public", {"bob_delay": "0ms"})
    processes = dict.fromkeys(network.nodes, 1)
    commands = list(link_commands(network, processes, wires=7))
    devices = wire_devices(network)
    assert set(devices) == {link.label for link in network.links.values() if link.forward.delay}
    assert len(devices) == 3
    for towards_a, towards_b in devices.values():
        assert [c.endswith(f"peer name {towards_a} mtu 65535 netns 7") for c in commands].count(True) == 1
        assert [c.endswith(f"peer name {towards_b} mtu 65535 netns 7") for c in commands].count(True) == 1
    assert len(commands) == len(network.links) + len(devices)
    assert all("gso_max_segs 1" in c for c in commands if "wire" in c)
    switched_on = [f"link set {device} up" for pair in devices.values() for device in pair]
    assert list(wire_commands(network)) == switched_on


def test_a_link_that_has_nothing_but_an_mtu_needs_no_wire():
    class Tunnel(Topo):
        def build(self):
            for name in ("left", "right"):
                self.addHost(name, role="host")
            self.addLink("left", "right", label="tunnel", impair={"mtu": "1400B"})

    assert wire_devices(plan_network(Tunnel(), "tunnel")) == {}


def test_an_endpoint_that_is_confined_to_some_ports_takes_those():
    class Confined(Topo):
        def build(self):
            self.addHost("alice", role="endpoint", udp_ports="5060-5063")
            self.addHost("bob", role="endpoint")
            self.addLink("alice", "bob")

    network = plan_network(Confined(), "confined")
    settings = {name: dict(kernel_settings(node)) for name, node in network.nodes.items()}
    assert settings["alice"]["ipv4/ip_local_port_range"] == "5060 5063"
    assert "ipv4/ip_local_port_range" not in settings["bob"]


def test_a_link_that_a_node_is_not_attached_to_stays_down():
    network = moving_network()
    devices = device_names(network)
    commands = list(node_commands(network.nodes["alice"], devices))
    assert [c for c in commands if "alice-eth1" in c] == []
    moved = attached_part(network.nodes["alice"], ["mobile"])
    assert [c for c in node_commands(moved, devices) if "alice-eth0" in c] == []
    assert "link set alice-eth1 up" in list(node_commands(moved, devices))
    assert list(leaving_commands(moved, devices)) == [
        "address flush dev alice-eth1",
        "link set alice-eth1 down",
    ]


def test_a_node_without_ipv6_addresses_has_no_ipv6():
    network = load_topology("dual_stack", {"alice_ipv6": False})
    devices = device_names(network)
    assert dict(kernel_settings(network.nodes["alice"]))["ipv6/conf/default/disable_ipv6"] == "1"
    assert dict(kernel_settings(network.nodes["bob"]))["ipv6/conf/default/disable_ipv6"] == "0"
    towards_alice = devices["internet", "alice-access"]
    assert list(device_settings(network.nodes["internet"], devices)) == [
        (f"ipv6/conf/{towards_alice}/disable_ipv6", "1")
    ]
