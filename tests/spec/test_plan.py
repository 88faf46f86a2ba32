"""What a plan makes of a topology: kinds, roles, interfaces, realms, names."""

import pickle

from mininet.topo import Topo

from lab.spec.impairment import Impairment
from lab.spec.network import Network, NodeKind
from lab.spec.plan import plan_network


class Home(Topo):
    """A host behind a NAT, a router, a server."""

    def build(self, nat="port-restricted", **server):
        self.addHost("alice", role="endpoint")
        self.addHost("box", role="nat", nat=nat, uplink="core")
        self.addHost("core", role="router")
        self.addHost("relay", role="relay", **server)
        self.addLink("alice", "box", label="home", impair={"delay": "20ms", "backward": {"loss": "5%"}})
        self.addLink("box", "core", label="access")
        self.addLink("core", "relay")


def plan(topo: Topo) -> Network:
    return plan_network(topo, "test")


def addresses(network: Network, node: str) -> list[str]:
    return [address for interface in network.nodes[node].interfaces for address in interface.addresses]


def test_the_role_decides_what_a_node_is_to_the_network():
    kinds = {name: (node.kind, node.role) for name, node in plan(Home()).nodes.items()}
    assert kinds == {
        "alice": (NodeKind.HOST, "endpoint"),
        "box": (NodeKind.NAT, "nat"),
        "core": (NodeKind.ROUTER, "router"),
        "relay": (NodeKind.HOST, "relay"),
    }


def test_a_nat_box_has_its_model_and_its_uplink_is_its_outside():
    box = plan(Home(nat="symmetric")).nodes["box"]
    assert box.nat is not None
    assert box.nat.name == "symmetric"
    assert [(interface.link, interface.outside) for interface in box.interfaces] == [
        ("home", False),
        ("access", True),
    ]
    assert box.external_addresses == ("203.0.113.10",)


def test_a_nat_box_with_a_pool_translates_to_all_of_its_addresses():
    class Pool(Home):
        def build(self):
            super().build()
            self.setNodeInfo("box", {**self.nodeInfo("box"), "addresses": 3})

    network = plan(Pool())
    assert network.nodes["box"].external_addresses == ("203.0.113.10", "203.0.113.11", "203.0.113.12")
    assert addresses(network, "box") == [
        "192.168.1.1/24",
        "203.0.113.10/24",
        "203.0.113.11/24",
        "203.0.113.12/24",
    ]


def test_a_box_that_does_not_translate_has_public_addresses_inside():
    network = plan(Home(nat="none"))
    assert addresses(network, "alice") == ["203.0.113.10/24"]
    assert network.dns["alice.test"] == ("203.0.113.10",)


def test_a_relay_has_two_addresses_unless_told_otherwise_for_behaviour_discovery():
    assert addresses(plan(Home()), "relay") == ["198.51.100.10/24", "198.51.100.11/24"]
    assert addresses(plan(Home(addresses=1)), "relay") == ["198.51.100.10/24"]


def test_a_roles_own_options_are_passed_on_to_it():
    node = plan(Home(permission_refresh="rfc8656")).nodes["relay"]
    assert node.options == {"permission_refresh": "rfc8656"}


def test_a_plain_host_runs_no_program():
    class Idle(Home):
        def build(self):
            super().build()
            self.addHost("idle", role="host")
            self.addLink("idle", "core")

    node = plan(Idle()).nodes["idle"]
    assert (node.kind, node.role) == (NodeKind.HOST, "")


def test_impairments_go_from_the_first_named_node_to_the_second():
    link = plan(Home()).links["home"]
    assert (link.a, link.b) == ("alice", "box")
    assert link.forward == Impairment(delay=0.02)
    assert link.backward == Impairment(delay=0.02, loss=0.05)


def test_a_link_without_a_label_is_called_by_its_ends():
    assert list(plan(Home()).links) == ["home", "access", "core--relay"]


def test_public_hosts_have_names_private_ones_have_none():
    assert plan(Home()).dns == {"relay.test": ("198.51.100.10", "198.51.100.11")}


def test_links_and_interfaces_come_in_the_order_of_nodes_whatever_the_order_of_links():
    """Mininet keeps links in an order of its own; the plan must not depend on it."""

    class Backwards(Topo):
        def build(self):
            for name in ("alice", "bob", "carol"):
                self.addHost(name, role="endpoint")
            self.addHost("core", role="router")
            for name in ("carol", "bob", "alice"):
                self.addLink("core", name, label=name)

    network = plan(Backwards())
    assert list(network.links) == ["alice", "bob", "carol"]
    assert [interface.link for interface in network.nodes["core"].interfaces] == ["carol", "bob", "alice"]
    assert addresses(network, "alice") == ["203.0.113.10/24"]


def test_a_switch_has_ports_without_addresses_and_joins_its_links_to_one_segment():
    class Lan(Topo):
        def build(self):
            self.addSwitch("left", dpid="1", subnet="10.0.0.0/24")
            self.addSwitch("right", dpid="2")
            self.addLink("left", "right", label="trunk")
            for name, switch in (("alice", "left"), ("bob", "right")):
                self.addHost(name, role="endpoint")
                self.addLink(name, switch, label=name)

    network = plan(Lan())
    assert addresses(network, "left") == []
    assert [interface.link for interface in network.nodes["right"].interfaces] == ["trunk", "bob"]
    assert addresses(network, "alice") + addresses(network, "bob") == ["10.0.0.10/24", "10.0.0.11/24"]
    assert network.nodes["left"].routes == ()


def test_a_plan_is_a_value():
    assert plan(Home()) == plan(Home())
    assert pickle.loads(pickle.dumps(plan(Home()))) == plan(Home())  # noqa: S301 - our own bytes
