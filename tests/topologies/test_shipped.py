"""What every shipped topology keeps, and what each one is for."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from lab.errors import UsageError
from lab.spec.find import load_topology, open_topology
from lab.spec.impairment_options import PARSERS
from lab.spec.network import Network, NodeKind
from lab.spec.node_options import LINK_OPTIONS, NODE_OPTIONS, ROLES, SWITCH_OPTIONS

DIRECTORY = Path(lab.__file__).parents[1] / "topologies"
FILES = sorted(DIRECTORY.glob("*.py"))
NAMES = [path.stem for path in FILES]
ARGUMENT = re.compile(r"^    (?P<name>\w+): \S", re.MULTILINE)


def nodes_with_role(network: Network, role: str) -> list[str]:
    return [node.name for node in network.nodes.values() if node.role == role]


def addresses(network: Network, node: str) -> list[str]:
    return [address for interface in network.nodes[node].interfaces for address in interface.addresses]


def boxes_on_the_way_out(network: Network, name: str) -> list[str]:
    """Return the NAT boxes that a packet from a node to the internet passes, the innermost first."""
    found: list[str] = []
    while defaults := [r for r in network.nodes[name].routes if str(r.destination) == "0.0.0.0/0"]:
        owners = [
            node
            for node in network.nodes
            if node != name
            and defaults[0].via in {address.partition("/")[0] for address in addresses(network, node)}
        ]
        name = min(owners, key=lambda owner: owner not in neighbours(network, name))
        if network.nodes[name].kind is NodeKind.NAT:
            found.append(name)
    return found


def neighbours(network: Network, name: str) -> set[str]:
    ends = [{link.a, link.b} for link in network.links.values()]
    return set().union(*(pair for pair in ends if name in pair)) - {name}


# What holds for all of them


def test_there_are_some():
    assert {"two_homes", "one_lan", "same_nat", "cgn", "coffee_shop", "one_public"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_called_in(name):
    network = load_topology(name, {})
    assert len(nodes_with_role(network, "endpoint")) >= 2
    assert nodes_with_role(network, "relay") == ["relay"]
    assert nodes_with_role(network, "rendezvous") == ["rendezvous"]
    assert {"relay.test", "rendezvous.test"} <= network.dns.keys()


@pytest.mark.parametrize("name", NAMES)
def test_its_relay_has_the_two_addresses_of_behaviour_discovery(name):
    network = load_topology(name, {})
    assert len([a for a in addresses(network, "relay") if ":" not in a]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_described_and_none_else(name):
    topology = open_topology(name)
    _, _, arguments = topology.description.partition("Args:\n")
    assert ARGUMENT.findall(arguments) == list(topology.parameters)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_mininet_can_load_it_alone(path):
    """`mn --custom` executes the text of one file, with no sibling to import, and asks `topos`."""
    tree = ast.parse(path.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [ast.unparse(node) for node in imports] == ["from mininet.topo import Topo"]
    namespace: dict[str, object] = {}
    exec(compile(tree, str(path), "exec"), namespace)  # noqa: S102 - as `mn` does
    topos = namespace["topos"]
    assert isinstance(topos, dict)
    assert list(topos) == [path.stem]
    assert topos[path.stem]().nodes()


@pytest.mark.parametrize("name", NAMES)
def test_mininet_can_number_its_switches(name):
    """Real Mininet derives a switch's number from digits in its name, and stops where there are none."""
    topo, _ = open_topology(name).build({})
    for switch in topo.switches():
        assert re.search(r"\d", switch) or int(topo.nodeInfo(switch)["dpid"], 16) > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_nat_model_is_told_with_its_line(name):
    topology = open_topology(name)
    nat = next((p for p in topology.parameters if "nat" in p or p == "firewall"), None)
    assert nat is not None
    with pytest.raises(UsageError, match=rf"{name}\.py:\d+: NAT '[a-z0-9-]+': no NAT preset 'symetric'"):
        load_topology(name, {nat: "symetric"})


def test_plans_are_the_same_in_every_process_under_any_hash_seed():
    program = (
        "from lab.report.network_text import format_network\n"
        "from lab.spec.find import load_topology\n"
        f"for name in {NAMES}:\n"
        "    print(format_network(load_topology(name, {})))\n"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=DIRECTORY.parent,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert texts.pop().count(b"topology ") == len(NAMES)


def test_the_how_to_names_every_topology_role_option_and_impairment():
    text = (DIRECTORY.parent / "docs" / "topologies.md").read_text()
    node_options = {option for options in NODE_OPTIONS.values() for option in options} - {"role"}
    own_options = {option for rule in ROLES.values() for option in rule.options}
    known = {*NAMES, *ROLES, *node_options, *own_options, *LINK_OPTIONS, *SWITCH_OPTIONS, *PARSERS}
    assert sorted(word for word in known if not re.search(rf"[`\"]{word}\b|\b{word}=", text)) == []


# What each one is for


def test_two_homes_puts_each_caller_behind_a_nat_of_its_own():
    network = load_topology("two_homes", {"alice_nat": "symmetric", "bob_delay": "30ms"})
    assert boxes_on_the_way_out(network, "alice") == ["alice-nat"]
    assert boxes_on_the_way_out(network, "bob") == ["bob-nat"]
    assert network.nodes["alice-nat"].nat.name == "symmetric"
    assert network.links["bob-access"].forward.delay == 0.03


def test_two_homes_can_have_the_same_subnet_and_the_same_address():
    network = load_topology("two_homes", {"same_subnet": True})
    assert addresses(network, "alice") == addresses(network, "bob") == ["192.168.1.10/24"]


def test_two_homes_can_have_stun_on_a_host_of_its_own():
    network = load_topology("two_homes", {"separate_stun": True})
    assert not set(addresses(network, "stun")) & set(addresses(network, "relay"))


@pytest.mark.requirement("Z4-2")
def test_one_lan_puts_both_callers_on_one_subnet():
    network = load_topology("one_lan", {})
    assert addresses(network, "alice") + addresses(network, "bob") == ["192.168.1.10/24", "192.168.1.11/24"]
    assert boxes_on_the_way_out(network, "alice") == boxes_on_the_way_out(network, "bob") == ["nat"]


def test_same_nat_puts_two_subnets_behind_one_box():
    network = load_topology("same_nat", {})
    assert addresses(network, "alice") + addresses(network, "bob") == ["192.168.1.10/24", "192.168.2.10/24"]
    assert boxes_on_the_way_out(network, "alice") == boxes_on_the_way_out(network, "bob") == ["nat"]
    assert network.nodes["nat"].options == {"isolate": True}


@pytest.mark.requirement("Z1-2")
@pytest.mark.parametrize(
    ("parameters", "alice", "bob"),
    [
        ({}, ["alice-nat", "alice-cgn"], ["bob-nat"]),
        ({"bob_cgn": "cgn"}, ["alice-nat", "alice-cgn"], ["bob-nat", "bob-cgn"]),
        ({"one_carrier": True}, ["alice-nat", "alice-cgn"], ["bob-nat", "alice-cgn"]),
    ],
)
def test_cgn_puts_homes_behind_carriers(parameters, alice, bob):
    network = load_topology("cgn", parameters)
    assert boxes_on_the_way_out(network, "alice") == alice
    assert boxes_on_the_way_out(network, "bob") == bob


def test_cgn_gives_a_carrier_a_pool_and_its_customers_shared_addresses():
    network = load_topology("cgn", {"cgn_addresses": 2})
    assert network.nodes["alice-cgn"].external_addresses == ("198.51.100.10", "198.51.100.11")
    assert network.nodes["alice-nat"].external_addresses == ("100.64.0.10",)


def test_cgn_refuses_two_places_for_bob():
    with pytest.raises(UsageError, match="one_carrier puts Bob behind alice_cgn"):
        load_topology("cgn", {"one_carrier": True, "bob_cgn": "cgn"})


@pytest.mark.requirement("Z1-2")
def test_coffee_shop_puts_alice_behind_two_boxes():
    network = load_topology("coffee_shop", {})
    assert boxes_on_the_way_out(network, "alice") == ["shop-nat", "building"]
    assert boxes_on_the_way_out(network, "bob") == ["bob-nat"]


def test_one_public_gives_alice_a_public_address():
    network = load_topology("one_public", {})
    assert boxes_on_the_way_out(network, "alice") == []
    assert network.dns["alice.test"] == ("203.0.113.10",)
    assert boxes_on_the_way_out(network, "bob") == ["bob-nat"]


def test_firewalled_office_has_a_router_between_desks_and_firewall():
    network = load_topology("firewalled_office", {"firewall": "tcp-443-only"})
    assert boxes_on_the_way_out(network, "alice") == boxes_on_the_way_out(network, "carol") == ["firewall"]
    assert network.nodes["firewall"].nat.name == "tcp-443-only"
    assert network.nodes["office"].kind is NodeKind.ROUTER


def test_multihomed_gives_each_caller_two_ways_out_wifi_first():
    network = load_topology("multihomed", {})
    for caller in ("alice", "bob"):
        links = [route.link for route in network.nodes[caller].routes if route.via]
        assert links == [f"{caller}-wifi", f"{caller}-cell"]


@pytest.mark.requirement("Z1-13")
def test_dual_stack_routes_ipv6_past_the_nat():
    network = load_topology("dual_stack", {})
    assert [len(addresses(network, caller)) for caller in ("alice", "bob")] == [2, 2]
    inside = {str(r.destination): r.link for r in network.nodes["internet"].routes if r.via}
    assert set(inside.values()) == {"alice-access", "bob-access"}
    without = load_topology("dual_stack", {"alice_ipv6": False})
    assert [len(addresses(without, caller)) for caller in ("alice", "bob")] == [1, 2]


@pytest.mark.parametrize("layers", [0, 1, 9])
def test_deep_nat_nests_as_many_boxes_as_asked(layers):
    network = load_topology("deep_nat", {"alice_layers": layers, "outer_nat": "symmetric"})
    boxes = boxes_on_the_way_out(network, "alice")
    assert boxes == [f"alice-{number}" for number in range(layers, 0, -1)]
    models = [network.nodes[box].nat.name for box in boxes]
    assert models == ["port-restricted"] * (layers - 1) + ["symmetric"] * bool(layers)


@pytest.mark.parametrize("layers", [-1, 10])
def test_deep_nat_refuses_what_it_has_no_names_for(layers):
    with pytest.raises(UsageError, match=rf"deep_nat\.py:\d+: bob_layers={layers}: from 0 to 9 layers"):
        load_topology("deep_nat", {"bob_layers": layers})


@pytest.mark.parametrize("nat", ["symmetric", "symmetric{hairpinning: none}", "apdm-apdf"])
def test_two_homes_sets_the_semantics_of_both_boxes(nat):
    semantics = {"filter_scope": "per-endpoint", "reply_reuse": "off"}
    network = load_topology("two_homes", {"alice_nat": nat, "bob_nat": nat, **semantics})
    for box in ("alice-nat", "bob-nat"):
        model = network.nodes[box].nat
        assert (model.filter_scope.value, model.reply_reuse.value) == ("per-endpoint", "off")
    assert load_topology("two_homes", {"alice_nat": nat}).nodes["alice-nat"].nat.reply_reuse.value != "off"


def test_a_phone_may_move_to_the_mobile_network_and_is_not_on_it_before():
    interfaces = load_topology("handover", {}).nodes["alice"].interfaces
    assert [(one.link, one.attached) for one in interfaces] == [("alice-wifi", True), ("alice-mobile", False)]
    assert all(one.addresses for one in interfaces), "its address there is planned"


def test_phones_at_home_use_the_same_ports_behind_one_box():
    network = load_topology("phones_at_home", {"phone_ports": "7000-7001"})
    ports = [network.nodes[phone].options["udp_ports"] for phone in ("alice", "carol")]
    assert ports == ["7000-7001", "7000-7001"]
    assert boxes_on_the_way_out(network, "alice") == boxes_on_the_way_out(network, "carol") == ["home-nat"]
