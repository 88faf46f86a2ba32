"""Records of a capture that are of one packet have one number, through boxes, switches and copies."""

import pytest
from mininet.topo import Topo

from lab.emu.captures.same_packets import number_packets
from lab.protocols.capture_file import Seen
from lab.sim.capture import encode_ip
from lab.spec.plan import plan_network
from nat_models.packet import IpProtocol, Packet

INSIDE, OUTSIDE, PEER = ("192.168.1.10", 5000), ("203.0.113.10", 61000), ("198.51.100.10", 7000)


LINKS = [
    ("alice", "lan", "desk"),
    ("nat", "lan", "home"),
    ("nat", "internet", "access"),
    ("bob", "internet", "bob"),
    ("rendezvous", "internet", "rendezvous"),
]


class Home(Topo):
    """Alice on a switch behind a box; Bob beyond it."""

    def build(self) -> None:
        self.addSwitch("lan", dpid="1")
        for name in ("alice", "bob"):
            self.addHost(name, role="endpoint")
        self.addHost("nat", role="nat", nat="full-cone", uplink="internet")
        self.addHost("internet", role="router")
        self.addHost("rendezvous", role="rendezvous")
        for one, other, label in LINKS:
            self.addLink(one, other, label=label)


WAY = [
    ("alice", "desk", True),
    ("nat", "home", False),
    ("nat", "access", True),
    ("internet", "access", False),
    ("internet", "bob", True),
    ("bob", "bob", False),
]


@pytest.fixture(scope="module")
def network():
    return plan_network(Home(), "home")


def seen(time, step, payload=b"check", comments=()):
    node, link, outbound = step
    source = INSIDE if link in {"desk", "home"} else OUTSIDE
    data = encode_ip(Packet(IpProtocol.UDP, source, PEER, payload))
    return Seen(time, (node, link), data, outbound, comments=list(comments))


def numbers(records, network):
    number_packets(records, network)
    return [record.packet_id for record in records]


def test_a_packet_has_one_number_across_a_switch_a_box_and_a_router(network):
    records = [seen(at / 1000, step) for at, step in enumerate(WAY)]
    assert numbers(records, network) == [1] * 6


def test_packets_that_differ_and_packets_sent_again_have_numbers_of_their_own(network):
    records = [seen(0.1 * at + at_step / 1000, step, payload) for at, payload in enumerate([b"a", b"b", b"a"])
               for at_step, step in enumerate(WAY)]  # fmt: skip
    assert numbers(records, network) == [1] * 6 + [2] * 6 + [3] * 6


def test_what_a_box_has_dropped_is_not_what_it_lets_pass_later(network):
    records = [*(seen(0.0 + at / 1000, step) for at, step in enumerate(WAY[:2])),
               *(seen(0.5 + at / 1000, step) for at, step in enumerate(WAY))]  # fmt: skip
    assert numbers(records, network) == [1, 1, 2, 2, 2, 2, 2, 2]


def test_what_a_link_has_lost_is_not_what_arrives_later(network):
    lost = [seen(0.0, WAY[0]), seen(0.001, WAY[1]), seen(0.002, WAY[2], comments=["dropped at access"])]
    again = [seen(0.1 + at / 1000, step) for at, step in enumerate(WAY)]
    assert numbers([*lost, *again], network) == [1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_a_copy_has_the_number_of_what_it_is_a_copy_of(network):
    records = [seen(0.0, WAY[4]), seen(0.001, WAY[5]), seen(0.002, WAY[5])]
    assert numbers(records, network) == [1, 1, 1]


def test_what_is_no_packet_of_the_labs_is_known_by_its_bytes(network):
    strange = bytes.fromhex("46000018") + bytes(20)
    records = [
        Seen(0.0, ("bob", "bob"), strange, outbound=True),
        Seen(0.1, ("internet", "bob"), strange, outbound=False),
    ]
    assert numbers(records, network) == [1, 1]
