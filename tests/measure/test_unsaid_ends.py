"""What a capture tells of packets that a box dropped without a word."""

import itertools

import pytest

from lab.measure.trace import PacketDrop, PacketKind, PacketStep, PacketTrace
from lab.measure.unsaid_ends import unsaid_ends
from lab.spec.find import load_topology

NETWORK = load_topology("two_homes", {})
PLACE, PEER, SERVER = "203.0.113.10:4000", "198.51.100.10:5000", "192.0.2.10:3478"


def step(packet_id, time, node, way, source, destination, link="alice-access"):
    return PacketStep(
        time=time, node=node, link=link, outbound=way == "out", packet_id=packet_id, cause_id=0,
        source=source, destination=destination, kinds=(PacketKind.UDP,), words="UDP",
    )  # fmt: skip


def sent(packet_id, destination, time=0.0):
    """Return the steps of a packet that Alice's box lets out by the place."""
    inside = step(packet_id, time, "alice", "out", "192.168.1.10:9", destination, "alice-home")
    return [
        inside,
        step(packet_id, time, "alice-nat", "in", "192.168.1.10:9", destination, "alice-home"),
        step(packet_id, time, "alice-nat", "out", PLACE, destination),
        step(packet_id, time, "relay", "in", PLACE, destination, "relay"),
    ]


def arrived(packet_id=9, time=1.0, source=PEER):
    return [
        step(packet_id, time, "bob", "out", source, PLACE, "bob-home"),
        step(packet_id, time, "alice-nat", "in", source, PLACE),
    ]


def ends(*groups, end=5.0, drops=()):
    last = step(99, end, "bob", "out", "x:1", SERVER, "bob-home")
    steps = sorted(itertools.chain(*groups, [last]), key=lambda one: one.time)
    found = unsaid_ends(PacketTrace(network=NETWORK, steps=steps, drops=drops))
    return [(drop.where, drop.packet_id, drop.reason) for drop in found]


@pytest.mark.parametrize(
    ("before", "evidence"),
    [
        ([], f"nothing had been sent from {PLACE} before"),
        ([sent(1, SERVER)], f"{PLACE} had sent to others, not to 198.51.100.10"),
        (
            [sent(1, SERVER), sent(2, "198.51.100.10:5001")],
            f"{PLACE} had sent to 198.51.100.10, to another port than 5000",
        ),
        ([sent(1, PEER)], f"{PLACE} had sent to {PEER}, so that a filter is not the reason"),
        ([sent(1, PEER, time=2.0)], f"nothing had been sent from {PLACE} before"),
    ],
)
def test_of_what_a_box_let_in_no_further_it_is_told_what_its_port_had_sent_to(before, evidence):
    assert ends(*before, arrived()) == [("alice-nat", 9, f"it went no further; {evidence}")]


def test_what_was_passed_on_or_told_or_may_be_under_way_has_no_unsaid_end():
    passed_on = [*arrived(), step(9, 1.01, "alice-nat", "out", PEER, "192.168.1.10:9", "alice-home")]
    assert ends(passed_on) == []
    told = PacketDrop(time=1.0, where="alice-nat", packet_id=9, reason="r")
    assert ends(arrived(), drops=[told]) == []
    assert ends(arrived(), end=1.1) == []


def test_a_router_that_knows_no_way_is_named_with_the_address():
    lost = [
        step(9, 1.0, "bob", "out", PEER, "192.168.1.10:9", "bob-home"),
        step(9, 1.0, "internet", "in", PEER, "192.168.1.10:9", "bob-access"),
    ]
    assert ends(lost) == [("internet", 9, "it went no further; internet has no route to 192.168.1.10")]
