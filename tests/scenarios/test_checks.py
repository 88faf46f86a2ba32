"""What the connectivity checks do on the way to a path, and who carries the media afterwards."""

import asyncio

import pytest

from lab.sim.clock import VirtualLoop
from lab.sim.network import SimNetwork
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.find import load_topology

NO_RELAY = CandidatePolicy(candidates="no-relay")
RELAY_ONLY = CandidatePolicy(candidates="relay-only")
PREFERENCE = ["host", "prflx", "srflx", "relay"]
"""RFC 8445 section 5.1.2.2: type preferences 126, 110, 100 and 0."""


async def together(lab):
    """Both sides start their checks at once: the callee waits for as long as its answer travels."""
    await lab.call("alice", "bob", start_offset="-30ms")


def checks(played, after):
    """Return Alice's checks that came to this state, as (own type, other's type), in order."""
    found = played.of(EventType.ICE_CHECK, node="alice")
    return [(e.data["local"]["type"], e.data["remote"]["type"]) for e in found if e.data["after"] == after]


@pytest.mark.requirement("Z0-8", "Z0-9", "Z4-1")
def test_candidates_are_preferred_host_then_reflexive_then_relay(play):
    played = play("two_homes", together, alice_nat="symmetric", bob_nat="symmetric")
    priorities = {
        e.data["type"]: e.data["priority"] for e in played.of(EventType.ICE_CANDIDATE, node="alice")
    }
    assert sorted(priorities, key=priorities.get, reverse=True) == ["host", "srflx", "relay"]
    # The upper eight bits are the type's preference.
    assert {kind: number >> 24 for kind, number in priorities.items()} == {
        "host": 126,
        "srflx": 100,
        "relay": 0,
    }


@pytest.mark.requirement("Z0-8", "Z0-9")
@pytest.mark.parametrize("own", ["host", "relay"])
def test_from_each_own_candidate_the_others_are_checked_in_order_of_preference(play, own):
    """Between own candidates the first of each foundation goes ahead (RFC 8445 section 6.1.2.6)."""
    played = play("two_homes", together, alice_nat="symmetric", bob_nat="symmetric")
    tried = [other for local, other in checks(played, "IN_PROGRESS") if local == own]
    assert tried == ["host", "srflx", "relay"]
    assert tried == sorted(tried, key=PREFERENCE.index)


@pytest.mark.requirement("Z0-8")
def test_a_peer_reflexive_candidate_is_checked_as_soon_as_it_is_heard_of_and_before_any_relay(play):
    played = play("two_homes", together, alice_nat="restricted", bob_nat="symmetric")
    tried = [other for local, other in checks(played, "IN_PROGRESS") if local == "host"]
    assert tried.index("prflx") < tried.index("relay")
    assert played.call.path is PathClass.PEER_REFLEXIVE


@pytest.mark.requirement("Z0-10", "Z4-12", "Z1-6")
def test_the_relay_is_selected_after_the_direct_pairs_were_tried_and_none_answered(play):
    played = play("two_homes", together, alice_nat="symmetric", bob_nat="port-restricted")
    tried, answered = checks(played, "IN_PROGRESS"), checks(played, "SUCCEEDED")
    assert tried[:2] == [("host", "host"), ("host", "srflx")]
    assert answered
    assert all("relay" in pair for pair in answered)
    assert played.call.path is PathClass.RELAY


@pytest.mark.requirement("Z0-9", "Z0-10")
@pytest.mark.parametrize("nat", ["none", "full-cone", "restricted", "port-restricted"])
def test_where_a_direct_pair_answers_no_relayed_one_is_selected(play, nat):
    played = play("two_homes", together, alice_nat=nat, bob_nat=nat)
    assert played.call.path.is_direct
    assert "relay" in played.call.caller.candidate_types, "it was there to be chosen"


@pytest.mark.requirement("Z4-2", "Z4-12", "Z0-13")
def test_a_failed_check_moves_on_to_the_next_pair_until_none_is_left_and_the_call_fails(play):
    played = play(
        "two_homes", lambda lab: lab.call("alice", "bob", policy=NO_RELAY),
        alice_nat="symmetric", bob_nat="symmetric",
    )  # fmt: skip
    assert checks(played, "IN_PROGRESS") == checks(played, "FAILED") == [("host", "host"), ("host", "srflx")]
    assert played.of(EventType.ICE_FAILED, node="alice")


def listed(played, node="alice"):
    """Return how many pairs a side's check list had when it was formed."""
    (checking,) = played.of(EventType.ICE_CHECKING, node=node)
    return checking.data["pairs"]


def test_the_check_list_has_a_pair_for_each_base_and_each_of_the_others_candidates(play):
    """A reflexive candidate is sent from its base, so its pairs are the base's: RFC 8445 section 6.1.2.4."""
    played = play("two_homes", together)
    assert played.call.caller.candidate_types == ("host", "relay", "srflx")
    assert [listed(played, node) for node in ("alice", "bob")] == [2 * 3, 2 * 3]


def test_candidates_of_different_families_make_no_pair(play):
    played = play("dual_stack", lambda lab: lab.call("alice", "bob", policy=NO_RELAY))
    own = [e.data["address"] for e in played.of(EventType.ICE_CANDIDATE, node="alice")]
    families = {":" in address.rpartition(":")[0] for address in own}
    assert families == {False, True}
    assert listed(played) < len(own) ** 2 / 2


def test_of_the_pairs_that_are_listed_each_one_fails_before_the_call_does(play):
    played = play(
        "two_homes", lambda lab: lab.call("alice", "bob", policy=NO_RELAY),
        alice_nat="symmetric", bob_nat="symmetric",
    )  # fmt: skip
    assert len(checks(played, "FAILED")) == listed(played)


def test_where_there_is_nothing_to_check_the_list_is_empty_and_the_call_fails(play):
    async def without_relay(lab):
        lab.cut("relay")
        await lab.call("alice", "bob", policy=RELAY_ONLY)

    played = play("two_homes", without_relay)
    assert [listed(played, node) for node in ("alice", "bob")] == [0, 0]
    assert [e.node for e in played.of(EventType.ICE_FAILED)] == ["bob", "alice"]


async def cut_the_servers(lab, policy):
    """Cut STUN and TURN in the middle of a call, and go on talking."""
    await lab.call("alice", "bob", policy=policy)
    lab.cut("relay")
    await lab.send_media("call-1", MediaPlan(packets=7))


@pytest.mark.requirement("Z1-3", "Z1-7")
def test_once_direct_a_call_needs_neither_relay_nor_stun_server(play):
    played = play("two_homes", lambda lab: cut_the_servers(lab, NO_RELAY))
    assert played.call.path is PathClass.SERVER_REFLEXIVE
    assert (played.call.caller.received, played.call.callee.received) == (12, 12)


@pytest.mark.requirement("Z4-5")
def test_a_relayed_call_falls_silent_both_ways_with_its_relay(play):
    played = play("two_homes", lambda lab: cut_the_servers(lab, RELAY_ONLY))
    assert played.call.path is PathClass.RELAY
    assert (played.call.caller.received, played.call.callee.received) == (5, 5)


class Voice(asyncio.DatagramProtocol):
    """Plain RTP as a telephone without ICE sends it: to the address it was told, and never mind."""

    def __init__(self):
        self.heard = 0

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.heard += 1


ALICE, BOBS_INNER, BOBS_OUTER = "203.0.113.10", "192.168.2.10", "192.0.2.10"


@pytest.mark.requirement("Z1-1")
@pytest.mark.parametrize(
    ("told", "reason"), [(BOBS_INNER, f"no route to {BOBS_INNER}"), (BOBS_OUTER, "no mapping")]
)
def test_without_traversal_media_to_a_host_behind_a_nat_is_one_way(told, reason):
    """Bob, behind a NAT, reaches Alice, who has none; nothing of hers reaches him, and the reason is told."""
    topology = load_topology("two_homes", {"alice_nat": "none", "bob_nat": "port-restricted"})
    loop = VirtualLoop(deadline=60, event_budget=10_000)
    network = SimNetwork(topology, loop)

    async def telephone(host, port):
        opening = loop.create_datagram_endpoint(Voice, local_addr=("0.0.0.0", port))  # noqa: S104
        _, voice = await network.host(host).start(opening)
        return voice

    async def talk():
        alice, ear, mouth = [await telephone(*a) for a in (("alice", 4000), ("bob", 4000), ("bob", 4002))]
        for _ in range(10):
            alice.transport.sendto(b"RTP", (told, 4000))
            mouth.transport.sendto(b"RTP", (ALICE, 4000))
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
        return alice.heard, ear.heard

    heard = loop.run_until_complete(talk())
    loop.close()
    assert heard == (10, 0)
    drops = [e.data for e in network.events if e.type is EventType.PACKET_DROPPED]
    assert len(drops) == 10
    for drop in drops:
        assert reason in drop["reason"]
        assert f"{ALICE}:4000 > {told}:4000" in drop["packet"]
