"""Which path a call takes: aioice, unmodified, across simulated NATs."""

import pytest

from lab.measure.predict import Reach
from lab.spec.command import CandidatePolicy
from lab.spec.event import EventType, PathClass

DIRECT = {PathClass.PEER_REFLEXIVE, PathClass.SERVER_REFLEXIVE}
NO_RELAY = CandidatePolicy(candidates="no-relay")
RELAY_ONLY = CandidatePolicy(candidates="relay-only")


def without_relay(lab):
    return lab.call("alice", "bob", policy=NO_RELAY)


@pytest.mark.requirement("Z4-2", "Z1-7")
def test_on_one_lan_the_call_goes_from_host_to_host(play):
    played = play("one_lan")
    assert played.call.path is PathClass.HOST
    assert played.call.media_both_ways


@pytest.mark.requirement("Z0-11", "Z1-3", "Z4-3")
@pytest.mark.parametrize("nat", ["full-cone", "restricted", "port-restricted"])
def test_stun_alone_connects_through_cone_nats(play, nat):
    played = play("two_homes", without_relay, alice_nat=nat, bob_nat=nat)
    assert played.call.path is PathClass.SERVER_REFLEXIVE
    assert played.call.media_both_ways
    srflx = [e for e in played.of(EventType.ICE_CANDIDATE, node="alice") if e.data["type"] == "srflx"]
    mapped = {e.data["external"] for e in played.of(EventType.NAT_MAPPING_CREATED, node="alice-nat")}
    assert {e.data["address"] for e in srflx} <= mapped


@pytest.mark.requirement("Z1-3", "Z4-4", "Z0-13")
@pytest.mark.parametrize(("alice", "bob"), [("symmetric", "symmetric"), ("symmetric", "port-restricted")])
def test_stun_alone_fails_where_a_symmetric_nat_meets_a_strict_one(play, alice, bob):
    played = play("two_homes", without_relay, alice_nat=alice, bob_nat=bob)
    assert played.call.path is PathClass.NONE
    assert not played.call.media_both_ways
    assert played.of(EventType.ICE_FAILED)


@pytest.mark.requirement("Z0-14", "Z4-6", "Z4-21", "Z1-6")
def test_two_symmetric_nats_fall_back_to_the_relay_although_both_sides_have_reflexive_candidates(play):
    played = play("two_homes", alice_nat="symmetric", bob_nat="symmetric")
    assert played.call.path is PathClass.RELAY
    assert played.call.media_both_ways
    assert "srflx" in played.call.caller.candidate_types


@pytest.mark.requirement("Z4-4", "Z0-8")
def test_a_symmetric_nat_reaches_an_address_restricted_one_by_a_peer_reflexive_candidate(play):
    played = play("two_homes", without_relay, alice_nat="symmetric", bob_nat="restricted")
    assert played.call.path is PathClass.PEER_REFLEXIVE


@pytest.mark.requirement("Z0-9", "Z0-10", "Z4-1")
def test_a_host_pair_wins_over_reflexive_and_relayed_ones(play):
    played = play("two_homes", alice_nat="none", bob_nat="none")
    assert played.call.path is PathClass.HOST
    assert set(played.call.caller.candidate_types) == {"host", "srflx", "relay"}


@pytest.mark.requirement("Z4-5")
def test_relay_only_uses_the_relay_where_a_direct_path_exists(play):
    played = play("two_homes", lambda lab: lab.call("alice", "bob", policy=RELAY_ONLY), alice_nat="none")
    assert played.call.path is PathClass.RELAY
    assert played.call.media_both_ways


@pytest.mark.requirement("Z1-13")
def test_ipv6_end_to_end_needs_no_nat_traversal(play):
    played = play("dual_stack", lambda lab: lab.call("alice", "bob", policy=NO_RELAY))
    assert played.call.connected
    assert played.call.path in {PathClass.HOST, PathClass.PEER_REFLEXIVE}
    (selected,) = played.of(EventType.ICE_SELECTED, node="alice")
    assert selected.data["remote"]["address"].startswith("2001:db8:")


@pytest.mark.requirement("Z1-2")
def test_behind_a_carrier_grade_nat_that_is_strict_a_second_nat_makes_the_call_need_the_relay(play):
    single = play("two_homes", without_relay, alice_nat="port-restricted", bob_nat="port-restricted")
    double = play(
        "cgn", without_relay, alice_nat="port-restricted", alice_cgn="symmetric", bob_nat="port-restricted"
    )
    assert single.call.path in DIRECT
    assert double.call.path is PathClass.NONE
    relayed = play("cgn", alice_nat="port-restricted", alice_cgn="symmetric", bob_nat="port-restricted")
    assert relayed.call.path is PathClass.RELAY


@pytest.mark.requirement("Z4-18", "Z4-20", "Z1-4")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_where_udp_is_blocked_turn_over_tcp_and_tls_connect(play, transport):
    policy = CandidatePolicy(turn_transports=("udp", transport))
    stun_only = play("firewalled_office", without_relay)
    played = play("firewalled_office", lambda lab: lab.call("alice", "bob", policy=policy))
    assert stun_only.call.path is PathClass.NONE
    assert played.call.path is PathClass.RELAY
    assert played.call.media_both_ways
    assert transport in {e.data["transport"] for e in played.of(EventType.TURN_ALLOCATED)}


@pytest.mark.requirement("Z0-12")
def test_with_udp_blocked_and_no_other_transport_there_is_no_path(play):
    policy = CandidatePolicy(turn_transports=("udp",))
    played = play("firewalled_office", lambda lab: lab.call("alice", "bob", policy=policy))
    assert played.call.path is PathClass.NONE


@pytest.mark.requirement("Z1-1")
def test_unsolicited_inbound_packets_are_dropped_and_the_reason_is_told(play):
    played = play("two_homes", without_relay, alice_nat="port-restricted", bob_nat="symmetric")
    reasons = played.drop_reasons("alice-nat")
    assert any("filter" in reason for reason in reasons), reasons


def test_the_relay_adds_its_detour_to_every_media_packet_each_way(play):
    direct = play("two_homes", without_relay, relay_delay="30ms")
    relayed = play("two_homes", lambda lab: lab.call("alice", "bob", policy=RELAY_ONLY), relay_delay="30ms")
    assert set(direct.call.caller.delays) == {0.020}
    # Both sides are relay only: the media goes to the relay and, there, from one allocation to the other.
    assert set(relayed.call.caller.delays) == {0.080}


@pytest.mark.parametrize("offset", ["-200ms", "0ms", "200ms"])
def test_who_starts_first_does_not_decide_whether_the_call_connects(play, offset):
    played = play("two_homes", lambda lab: lab.call("alice", "bob", start_offset=offset))
    assert played.call.media_both_ways


def test_a_relay_that_a_box_shows_under_another_port_is_a_relay_still(play):
    """Bob's box has a flow to Alice's relay when that comes in by another mapping."""
    played = play("two_homes", alice_nat="adm-apdf", bob_nat="apdm-adf")
    relays = {e.data["address"] for e in played.of(EventType.ICE_CANDIDATE) if e.data["type"] == "relay"}
    checks = [e for e in played.of(EventType.ICE_CHECK, node="bob") if e.data["after"] == "SUCCEEDED"]
    by_relay = {e.data["remote"]["address"] for e in checks if e.data["remote"]["type"] == "relay"}
    assert by_relay - relays, "the check that Bob answered came from no address that he was told"
    assert played.call.validated is Reach.RELAY
    assert played.call.path is PathClass.RELAY
