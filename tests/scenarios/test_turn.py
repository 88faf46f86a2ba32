"""TURN as the last resort: whoever has it, over whatever gets through, nobody fails for lack of a path."""

import pytest

from lab.spec.command import CandidatePolicy
from lab.spec.event import EventType, PathClass

PAIRS = [
    f"{mapping}-{filtering}" for mapping in ("eim", "adm", "apdm") for filtering in ("eif", "adf", "apdf")
]
ALL, NO_RELAY = CandidatePolicy(), CandidatePolicy(candidates="no-relay")


@pytest.mark.requirement("Z1-5", "Z4-6", "Z1-6")
@pytest.mark.parametrize(
    ("alices", "bobs"), [(ALL, NO_RELAY), (NO_RELAY, ALL), (ALL, ALL)], ids=["alice", "bob", "both"]
)
@pytest.mark.parametrize("alice_nat", PAIRS)
def test_with_turn_on_either_side_every_pair_of_nats_connects(play, alice_nat, alices, bobs):
    async def call(lab):
        await lab.call("alice", "bob", policy=alices, callee_policy=bobs)

    failed = [
        bob_nat
        for bob_nat in PAIRS
        if not play("two_homes", call, alice_nat=alice_nat, bob_nat=bob_nat).call.media_both_ways
    ]
    assert failed == []


@pytest.mark.requirement("Z4-5", "Z4-6", "Z4-18")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize(
    ("alice_nat", "bob_nat"),
    [("udp-blocked", "symmetric"), ("symmetric", "udp-blocked"), ("udp-blocked", "udp-blocked")],
)
def test_udp_blocked_on_either_side_or_both_is_no_obstacle_to_turn_over_streams(
    play, transport, alice_nat, bob_nat
):
    policy = CandidatePolicy(turn_transports=("udp", transport))
    played = play(
        "two_homes", lambda lab: lab.call("alice", "bob", policy=policy), alice_nat=alice_nat, bob_nat=bob_nat
    )
    assert played.call.path is PathClass.RELAY
    assert played.call.media_both_ways
    assert transport in {event.data["transport"] for event in played.of(EventType.TURN_ALLOCATED)}


@pytest.mark.requirement("Z4-20")
@pytest.mark.parametrize("both", [False, True])
def test_through_a_web_only_firewall_turn_on_tcp_443_connects(play, both):
    played = play("two_homes", alice_nat="tcp-443-only", bob_nat="tcp-443-only" if both else "full-cone")
    assert played.call.path is PathClass.RELAY
    assert played.call.media_both_ways


@pytest.mark.requirement("Z4-19")
def test_without_stun_there_is_error_701_and_no_reflexive_candidate_and_the_call_connects_by_relay(play):
    async def with_stun_cut(lab):
        lab.cut("stun")
        await lab.call("alice", "bob")

    played = play(
        "two_homes", with_stun_cut, separate_stun=True, alice_nat="port-restricted", bob_nat="port-restricted"
    )
    errors = played.of(EventType.ICE_CANDIDATE_ERROR, node="alice")
    assert [error.data["code"] for error in errors] == [701]
    assert str(errors[0].data["url"]).startswith("stun:")
    assert "srflx" not in played.call.caller.candidate_types
    assert played.call.path is PathClass.RELAY
    assert played.call.media_both_ways


@pytest.mark.requirement("Z0-13", "Z4-20")
def test_with_stun_and_turn_out_of_reach_there_is_no_path_and_no_silent_success(play):
    async def with_servers_cut(lab):
        lab.cut("relay")
        await lab.call("alice", "bob")

    played = play("two_homes", with_servers_cut)
    assert played.call.path is PathClass.NONE
    assert not played.call.media_both_ways
    codes = {(str(e.data["url"])[:4], e.data["code"]) for e in played.of(EventType.ICE_CANDIDATE_ERROR)}
    assert codes == {("stun", 701), ("turn", 701)}


@pytest.mark.requirement("Z0-12")
def test_blocking_udp_3478_breaks_discovery_and_leaves_the_path_over_tcp(play):
    blocked = "port-restricted{outbound_rules: [{action: drop, protocol: udp, ports: [3478, 5349]}]}"
    udp_only = CandidatePolicy(turn_transports=("udp",))
    lost = play(
        "two_homes",
        lambda lab: lab.call("alice", "bob", policy=udp_only),
        alice_nat=blocked,
        bob_nat="symmetric",
    )
    kept = play("two_homes", alice_nat=blocked, bob_nat="symmetric")
    assert lost.call.caller.candidate_types == ("host",)
    assert not lost.call.connected
    assert kept.call.path is PathClass.RELAY
