"""libjuice, a second ICE stack, as an endpoint over coturn: what it selects is what is possible."""

import pytest

from lab.emu.lab import emulate
from lab.measure.calls import calls_of
from lab.measure.predict import Reach
from lab.measure.predict.from_network import predict_call
from lab.run.program_choice import with_programs
from lab.run.relay_choice import with_relays
from lab.spec.command import CandidatePolicy, MediaPlan
from lab.spec.event import EventType, PathClass
from lab.spec.find import load_topology
from lab.spec.program import Program

SETTINGS = {"run_seed": 1, "trial_key": "t", "deadline": 200.0}
NATS = "port-restricted,symmetric"

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.adapter("node-datachannel"),
    pytest.mark.system("unshare", "ip", "mnexec", "nft", "conntrack", "turnserver"),
    pytest.mark.usefixtures("untouched_machine"),
]


async def calls_between_homes(lab):
    """Call between equal NATs, then over the relay where there is no need, then anew on a call that is up."""
    await lab.call("a1", "b1", hold="3s", name="both port-restricted")
    await lab.send_media("both port-restricted", MediaPlan(packets=3))
    await lab.hang_up("both port-restricted")
    await lab.call("a2", "b2", hold="1s", name="both symmetric")
    await lab.hang_up("both symmetric")
    await lab.call("a1", "b1", policy=CandidatePolicy(candidates="relay-only"), hold="1s", name="relay only")
    await lab.hang_up("relay only")
    no_relay = CandidatePolicy(candidates="no-relay")
    await lab.call("a2", "b2", policy=no_relay, timeout="3s", name="symmetric without a relay")
    await lab.hang_up("symmetric without a relay")


@pytest.fixture(scope="module")
def played():
    """What comes of those calls; without trickle, as the lab's own endpoints."""
    network = load_topology("every_nat", {"nats": NATS})
    program = Program(adapter="node-datachannel", options={"trickle": False})
    played = emulate(
        with_programs(with_relays(network, "coturn"), {"endpoint": program}),
        calls_between_homes,
        {},
        **SETTINGS,
    )
    assert EventType.ROLE_FAILED not in {event.type for event in played.events}
    return played


@pytest.fixture(scope="module")
def calls(played):
    """The calls by name."""
    return {call.call: call for call in calls_of(played.events)}


@pytest.mark.requirement("Z0-8", "Z1-6")
def test_between_port_restricted_boxes_media_is_direct_as_predicted(calls):
    call = calls["both port-restricted"]
    network = load_topology("every_nat", {"nats": NATS})
    assert call.path is PathClass.SERVER_REFLEXIVE
    assert predict_call(network, "a1", "b1").reach is Reach.DIRECT
    assert (call.caller.local_type, call.caller.remote_type) in predict_call(network, "a1", "b1").possible
    assert (call.caller.received, call.callee.received) == (8, 8)


@pytest.mark.requirement("Z0-14")
def test_between_symmetric_boxes_media_takes_coturn_as_predicted(calls, played):
    call = calls["both symmetric"]
    assert call.path is PathClass.RELAY
    assert predict_call(load_topology("every_nat", {"nats": NATS}), "a2", "b2").reach is Reach.RELAY
    assert (call.caller.received, call.callee.received) == (5, 5)
    assert "ALLOCATE processed, success" in played.outputs["relay"]


def test_the_policy_of_a_call_is_kept(calls):
    relayed, without = calls["relay only"], calls["symmetric without a relay"]
    assert (relayed.caller.local_type, relayed.caller.candidate_types) == ("relay", ("relay",))
    assert relayed.media_both_ways
    assert not without.connected
    assert without.caller.candidate_types == ("host", "srflx")


def test_delays_are_those_of_the_links_by_one_clock(calls):
    delays = [delay for side in calls["both port-restricted"].sides for delay in side.delays]
    assert 0.02 <= min(delays) < 0.04
