"""What the relay costs: delay by its distance, bandwidth, and load by the number of calls."""

import asyncio
from statistics import median

import pytest

from lab.measure.metrics import measure
from lab.sim.capture import Capture
from lab.sim.lab import simulate
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.expectation import Request
from lab.spec.find import load_topology

FAULTS = ("calls.lost", "consent.lost", "media.loss", "ice.candidate_errors", "turn.refusals", "roles.failed")
NO_RELAY, RELAY_ONLY = CandidatePolicy(candidates="no-relay"), CandidatePolicy(candidates="relay-only")
MEDIA = MediaPlan(packets=50, interval=0.02, size=172)


@pytest.fixture
def talk(play):
    """Let Alice call Bob with the relay at this distance; she alone has one, or nobody."""

    def run(relay_delay, policy):
        def call(lab):
            return lab.call("alice", "bob", policy=policy, callee_policy=NO_RELAY, media=MEDIA)

        return play("two_homes", call, relay_delay=relay_delay).call

    return run


def round_trip(call):
    """Both ways of most media packets; the first ones may wait for the other side to be connected."""
    return median(call.caller.delays) + median(call.callee.delays)


@pytest.mark.requirement("Z1-5")
@pytest.mark.parametrize(("relay_delay", "detour"), [("5ms", 0.010), ("10ms", 0.020), ("20ms", 0.040)])
def test_the_detour_by_a_relay_at_5_to_20_ms_costs_10_to_40_ms_on_the_same_network(talk, relay_delay, detour):
    """There and back: the relay's own line is travelled twice, each way of the call."""
    direct, relayed = talk(relay_delay, NO_RELAY), talk(relay_delay, RELAY_ONLY)
    assert (direct.path.is_direct, relayed.path) == (True, PathClass.RELAY)
    for one, other in ((direct.caller, relayed.caller), (direct.callee, relayed.callee)):
        assert median(other.delays) - median(one.delays) == pytest.approx(detour)


@pytest.mark.requirement("Z4-1")
@pytest.mark.parametrize("relay_delay", ["10ms", "20ms", "40ms"])
def test_host_adds_no_delay_reflexive_next_to_none_and_a_relay_20_to_80_ms_each_way(play, relay_delay):
    def delay(policy, nat):
        def call(lab):
            return lab.call("alice", "bob", policy=policy, callee_policy=NO_RELAY, media=MEDIA)

        record = play("two_homes", call, relay_delay=relay_delay, alice_nat=nat, bob_nat=nat).call
        return record.path, median(record.caller.delays)

    (host, wire), (reflexive, through), (relayed, detour) = (
        delay(NO_RELAY, "none"),
        delay(NO_RELAY, "port-restricted"),
        delay(RELAY_ONLY, "port-restricted"),
    )
    assert (host, reflexive, relayed) == (PathClass.HOST, PathClass.SERVER_REFLEXIVE, PathClass.RELAY)
    assert wire == pytest.approx(0.020), "what the lines take, and nothing else"
    assert through - wire == pytest.approx(0, abs=0.001)
    assert 0.020 <= round(detour - wire, 9) <= 0.080


@pytest.mark.requirement("Z4-22")
def test_a_far_relay_adds_100_ms_or_more_to_the_round_trip_and_a_nearer_one_cures_it(talk):
    direct, near, far = talk("5ms", NO_RELAY), talk("5ms", RELAY_ONLY), talk("30ms", RELAY_ONLY)
    assert round_trip(far) - round_trip(direct) >= 0.100
    assert round_trip(near) - round_trip(direct) < 0.030


@pytest.mark.requirement("Z4-7")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize(("relay_delay", "away"), [("5ms", 0.030), ("30ms", 0.080), ("60ms", 0.140)])
def test_use_of_a_relay_is_no_fault_and_what_is_measured_is_how_far_away_it_is(
    play, transport, relay_delay, away
):
    """Alice's line takes 10 ms. Nothing counts against the call: it is up, heard, and missed nothing."""
    policy = CandidatePolicy(turn_transports=(transport,))
    played = play(
        "two_homes", lambda lab: lab.call("alice", "bob", policy=policy),
        relay_delay=relay_delay, alice_nat="symmetric", bob_nat="symmetric",
    )  # fmt: skip
    measured = measure(played.events, [Request(name) for name in (*FAULTS, "turn.round_trip", "relay.share")])
    values = {request.metric: [sample.value for sample in of] for request, of in measured.items()}
    assert values["relay.share"] == [1]
    assert values["turn.round_trip"] == [pytest.approx(away)] * 2
    assert {name: sum(values[name]) for name in FAULTS} == dict.fromkeys(FAULTS, 0)


def test_a_lost_request_does_not_make_the_relay_look_farther_away(play):
    """What is repeated is not measured: nine in ten of the losses would show as half a second and more."""
    played = [play("two_homes", seed=seed, alice_loss="15%").call for seed in range(20)]
    away = [side.turn_round_trip for call in played for side in call.sides]
    known = [seconds for seconds in away if seconds is not None]
    assert len(known) > 30
    assert known == [pytest.approx(0.030)] * len(known)
    assert max(side.gathered_in for call in played for side in call.sides) > 0.5, "some were repeated"


def relayed_calls(number, policy=RELAY_ONLY):
    """Make so many calls at once; return events, and the media bytes that came to the relay and left it."""
    topology = load_topology("two_homes", {})
    capture = Capture(topology)

    async def scenario(lab):
        calls = [
            lab.call("alice", "bob", policy=policy, callee_policy=NO_RELAY, media=MEDIA)
            for _ in range(number)
        ]
        assert all(record.media_both_ways for record in await asyncio.gather(*calls))

    events, invalid = simulate(
        topology, scenario, {}, run_seed=1, trial_key="t", deadline=600, event_budget=10**6, capture=capture
    )
    assert invalid == ""
    media = [r for r in capture._records if r.tap[0] == "relay" and len(r.packet.payload) >= MEDIA.size]
    volumes = [sum(r.packet.length for r in media if r.outbound is outbound) for outbound in (False, True)]
    return events, volumes


@pytest.mark.requirement("Z1-5", "Z1-7")
def test_each_byte_of_relayed_media_passes_the_relays_line_twice_and_none_of_direct_media_does():
    _, (came, left) = relayed_calls(1)
    payload = 2 * MEDIA.packets * MEDIA.size
    assert came >= payload
    assert left >= payload
    assert relayed_calls(1, NO_RELAY)[1] == [0, 0]


@pytest.mark.requirement("Z1-11")
def test_the_load_on_a_relay_grows_with_the_calls_it_carries_at_once():
    loads = {number: relayed_calls(number) for number in (1, 2, 4, 8)}
    for number, (events, (came, left)) in loads.items():
        allocated = [event for event in events if event.type is EventType.TURN_ALLOCATED]
        assert len(allocated) == number
        assert came == number * loads[1][1][0]
        assert left == number * loads[1][1][1]
