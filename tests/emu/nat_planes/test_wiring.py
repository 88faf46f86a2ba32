"""What a plane is told of a box's place in its network follows from the network's description."""

from lab.emu.nat_planes import BoxWiring
from lab.protocols.behaviour_discovery.bench import BOX, certification_network
from nat_models import load_preset


def test_a_box_is_wired_as_its_node_says():
    node = certification_network(load_preset("cgn"), external_addresses=3).nodes[BOX]
    assert BoxWiring.of_node(node, {"in": "box-eth0", "out": "box-eth1"}) == BoxWiring(
        inside=("box-eth0",),
        outside="box-eth1",
        external_addresses=("198.18.0.100", "198.18.0.101", "198.18.0.102"),
        internal_networks=("10.255.0.0/24",),
        addresses=(
            ("box-eth0", "10.255.0.1/24"),
            ("box-eth1", "198.18.0.100/24"),
            ("box-eth1", "198.18.0.101/24"),
            ("box-eth1", "198.18.0.102/24"),
        ),
        routes=(("10.255.0.0/24", "box-eth0", ""), ("198.18.0.0/24", "box-eth1", "")),
    )
