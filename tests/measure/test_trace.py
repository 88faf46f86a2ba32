"""Journeys: the steps of one packet strung together, through boxes, copies and losses."""

import pytest

from lab.measure.trace import PacketDrop, PacketKind, PacketStep, PacketTrace, journeys_of, path_order
from lab.spec.find import load_topology

NETWORK = load_topology("two_homes", {})


def step(node: str, way: str, *, time: float = 0.0, source: str = "a:1", link: str = "l") -> PacketStep:
    return PacketStep(
        time=time, node=node, link=link, outbound=way == "out", packet_id=7, cause_id=0, source=source,
        destination="b:2", kinds=(PacketKind.UDP,), words="UDP",
    )  # fmt: skip


def journeys(steps, drops=()):
    return journeys_of(PacketTrace(network=NETWORK, steps=steps, drops=drops))


def drop(where: str, time: float = 1.0) -> PacketDrop:
    return PacketDrop(time=time, where=where, packet_id=7, reason="r")


def test_a_packet_keeps_its_journey_through_a_box_that_rewrites_it():
    (journey,) = journeys(
        [
            step("alice", "out"),
            step("alice-nat", "in"),
            step("alice-nat", "out", source="n:9"),
            step("internet", "in", source="n:9"),
        ]
    )
    assert journey.nodes == ("alice", "alice-nat", "internet")
    assert list(journey.rewritings()) == [("alice-nat", "n:9", "")]
    assert journey.dropped is None


def test_a_copy_that_a_link_made_has_a_journey_from_where_they_parted():
    first, second = journeys(
        [
            step("alice", "out"),
            step("alice-nat", "in", time=0.1),
            step("alice-nat", "in", time=0.2),
        ]
    )
    assert first.nodes == second.nodes == ("alice", "alice-nat")
    assert (first.last.time, second.last.time) == (0.1, 0.2)


def test_of_two_copies_the_one_that_was_at_the_box_is_the_one_the_box_dropped():
    steps = [step("alice", "out"), step("alice-nat", "in"), step("alice-nat", "in", time=0.2)]
    first, second = journeys(steps, [drop("alice-nat", 0.0)])
    assert first.dropped is not None
    assert second.dropped is None


def test_a_loss_on_a_link_ends_a_packet_that_is_under_way():
    (journey,) = journeys([step("alice", "out", link="alice-home")], [drop("alice-home from alice")])
    assert journey.dropped == drop("alice-home from alice")


def test_a_drop_told_by_a_stored_event_may_be_rounded_to_before_the_packet_came():
    came = 0.2804378841
    (journey,) = journeys(
        [step("alice", "out", time=came), step("relay", "in", time=came)], [drop("relay", round(came, 9))]
    )
    assert journey.dropped is not None


@pytest.mark.parametrize(
    ("topology", "order"),
    [
        ("two_homes", ["alice", "alice-nat", "internet", "relay", "rendezvous", "bob-nat", "bob"]),
        ("one_lan", ["alice", "lan", "bob"]),
    ],
)
def test_nodes_stand_in_the_order_of_the_path_with_the_servers_where_they_branch_off(topology, order):
    found = path_order(load_topology(topology, {}), "alice", "bob")
    assert [name for name in found if name in order] == order
    assert sorted(found) == sorted(load_topology(topology, {}).nodes)
